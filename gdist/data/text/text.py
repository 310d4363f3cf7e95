"""A corpus of text as a source: windows of tokens, each with the tokens that come next.

The tokens are written once to the cache, in the narrowest type that holds them, and mapped into memory by all workers of a
machine. Windows do not overlap (but for the last target of one, which is the first feature of the next), so that rows held
out for validation are whole stretches of text that no training window has. With a ``stride`` below ``context`` they do
overlap: validate on other files then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from gdist.data.source import Source
from gdist.data.table import as_text
from gdist.data.text.choose import WORDS, TrainTokenizer
from gdist.data.text.corpus import Corpus, Progress, table_suffixes
from gdist.data.text.rows import TextRows
from gdist.description import Wrong, nearest


class Text(Source):
    """``Text(path="books/*.txt", context=256)``: a file is a document; with ``column``, a row of a table is one.

    ``features`` and ``target`` are int64 [context]; target[i] is the token that comes after features[i].
    """

    path: Annotated[str | tuple[str, ...], BeforeValidator(as_text)] = Field(
        description="a file, a folder, a glob such as books/*.txt, or a list"
    )
    column: str | None = Field(default=None, description="of text, where the files are tables; plain text files if not set")
    tokenizer: str | Path | TrainTokenizer = Field(
        default="bytes",
        description="'bytes', 'characters', a JSON file of the package tokenizers, or TrainTokenizer(vocabulary=8000)",
    )
    context: int = Field(default=256, ge=1, description="tokens: the length of a window")
    stride: int | None = Field(default=None, ge=1, description="tokens from a window's start to the next; context if not set")
    separator: str | None = Field(
        default=None, description="text or token after each document; the tokenizer's own one, if it has one, if not set"
    )
    suffixes: tuple[str, ...] | None = Field(
        default=None, description="of the files taken from a folder; .txt, or those of tables with `column`, if not set"
    )
    storage: dict[str, Any] = Field(default={}, repr=False, description="options of an object store, such as region")

    @field_validator("tokenizer")
    @classmethod
    def _known(cls, tokenizer: str | Path | TrainTokenizer) -> str | Path | TrainTokenizer:
        if isinstance(tokenizer, str) and tokenizer not in WORDS and not Path(tokenizer).suffix and "/" not in tokenizer:
            near = nearest(tokenizer, WORDS)
            raise Wrong(
                f"must be 'bytes', 'characters', the path of a tokenizer's file or TrainTokenizer(...), not {tokenizer!r}",
                help=f"did you mean {near!r}?" if near else None,
            )
        return tokenizer

    def open(self, *, progress: Progress | None = None) -> TextRows:
        """Finds the files; they are tokenized, unless they were before, when the first row is asked for."""
        from gdist.data.storage import find_files

        suffixes = self.suffixes or (table_suffixes() if self.column is not None else (".txt",))
        files = find_files(self.path, suffixes=suffixes, options=self.storage)
        return TextRows(self, Corpus(files, column=self.column), progress=progress)

    def describe(self) -> dict[str, Any]:
        """Without what may be a credential."""
        from gdist.data.storage.secrets import shown_url

        paths = self.path if isinstance(self.path, tuple) else (self.path,)
        shown = [shown_url(str(path)) for path in paths]
        described = {**super().describe(), "path": shown if isinstance(self.path, tuple) else shown[0]}
        del described["storage"]
        return described
