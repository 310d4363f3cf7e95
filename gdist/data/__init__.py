"""Data as a job names it: a source, its rows, and the order in which a run uses them.

To add a format: one file with a ``Source`` (a frozen description) that opens ``Rows``; ``tensors.py`` is the one to imitate.
"""

from gdist.data.arrow import Arrow
from gdist.data.batch import Batch
from gdist.data.csv import CSV
from gdist.data.facts import DataFacts
from gdist.data.feed import Feed
from gdist.data.hugging_face import HuggingFace
from gdist.data.json_lines import JSONLines
from gdist.data.map_style import MapStyle
from gdist.data.mix import Mix
from gdist.data.order import permute
from gdist.data.parquet import Parquet
from gdist.data.source import Column, Rows, Source
from gdist.data.split import Split
from gdist.data.tensors import Tensors
from gdist.data.text import Text, TrainTokenizer
from gdist.data.wrap import as_source

__all__ = [
    "CSV",
    "Arrow",
    "Batch",
    "Column",
    "DataFacts",
    "Feed",
    "HuggingFace",
    "JSONLines",
    "MapStyle",
    "Mix",
    "Parquet",
    "Rows",
    "Source",
    "Split",
    "Tensors",
    "Text",
    "TrainTokenizer",
    "as_source",
    "permute",
]
