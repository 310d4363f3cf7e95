"""Corpora of text: read in pieces, tokenized once into the cache, and cut into windows when a batch asks for them.

To add a tokenizer: one file beside ``subwords.py``.
"""

from gdist.data.text.choose import TrainTokenizer
from gdist.data.text.rows import TextRows
from gdist.data.text.text import Text

__all__ = ["Text", "TextRows", "TrainTokenizer"]
