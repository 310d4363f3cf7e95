"""What is in files of data: formats, rows, columns, their values, and what a job could make of them."""

from gdist.data.survey.detect import find, format_of
from gdist.data.survey.survey import corpus, survey

__all__ = ["corpus", "find", "format_of", "survey"]
