"""A corpus of text as a source: windows of tokens, each with the tokens that come next.

The tokens are written once to the cache, in the narrowest type that holds them, and mapped into memory by all workers of a
machine. Windows do not overlap (but for the last target of one, which is the first feature of the next), so that rows held
out for validation are whole stretches of text that no training window has. With a ``stride`` below ``context`` they do
overlap: validate on other files then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from gdist.data.cache import cached
from gdist.data.source import Source
from gdist.data.text.choose import WORDS, Train, choose, deadline_s, hashed
from gdist.data.text.corpus import Corpus, Progress, table_suffixes
from gdist.data.text.rows import TextRows
from gdist.data.text.tokenizer import restored
from gdist.data.text.tokens import map_tokens, write_tokens
from gdist.description import Wrong, nearest
from gdist.errors import DataError


class Text(Source):
    """``Text(path="books/*.txt", context=256)``: a file is a document; with ``column``, a row of a table is one.

    ``features`` and ``target`` are int64 [context]; target[i] is the token that comes after features[i].
    """

    path: str | Path | tuple[str | Path, ...] = Field(description="a file, a folder, a glob such as books/*.txt, or a list")
    column: str | None = Field(default=None, description="of text, where the files are tables; plain text files if not set")
    tokenizer: str | Path | Train = Field(
        default="bytes", description="'bytes', 'characters', a JSON file of the package tokenizers, or Train(vocabulary=8000)"
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
    def _known(cls, tokenizer: str | Path | Train) -> str | Path | Train:
        if isinstance(tokenizer, str) and tokenizer not in WORDS and not Path(tokenizer).suffix and "/" not in tokenizer:
            near = nearest(tokenizer, WORDS)
            raise Wrong(
                f"must be 'bytes', 'characters', the path of a tokenizer's JSON file or Train(...), not {tokenizer!r}",
                help=f"did you mean {near!r}?" if near else None,
            )
        return tokenizer

    def open(self, *, learned: dict[str, Any] | None = None, progress: Progress | None = None) -> TextRows:
        """Tokenizes what is not in the cache yet. ``learned``: the ``state()`` of other rows, by whose tokenizer this text is
        read too. ``progress(bytes done, of all)`` is called as the corpus is read: twice over where a tokenizer is learned."""
        corpus = self._corpus()
        if learned is not None:
            tokenizer = restored(learned)
        else:
            tokenizer = choose(self.tokenizer, corpus, separator=self.separator, storage=self.storage, progress=progress)

        def write(path: Path) -> None:
            encoded = tokenizer.encode(corpus.pieces(progress), separator=self.separator)
            write_tokens(path, encoded, dtype=tokenizer.dtype)

        key = hashed(corpus.identity(), tokenizer.state(), self.separator)
        tokens = map_tokens(cached("tokens", key, write, deadline_s=deadline_s(corpus)))
        self._check_length(len(tokens.array), corpus)
        stride = self.stride or self.context
        return TextRows(tokens, context=self.context, stride=stride, tokenizer=tokenizer, files=corpus.identity()["files"])

    def describe(self) -> dict[str, Any]:
        """Without what may be a credential."""
        from gdist.data.storage.secrets import shown_url

        paths = self.path if isinstance(self.path, tuple) else (self.path,)
        shown = [shown_url(str(path)) for path in paths]
        described = {**super().describe(), "path": shown if isinstance(self.path, tuple) else shown[0]}
        del described["storage"]
        return described

    def _corpus(self) -> Corpus:
        from gdist.data.storage import find_files

        suffixes = self.suffixes or (table_suffixes() if self.column is not None else (".txt",))
        return Corpus(find_files(self.path, suffixes=suffixes, options=self.storage), column=self.column)

    def _check_length(self, count: int, corpus: Corpus) -> None:
        where = ", ".join(file.shown for file in corpus.files[:3]) + (" ..." if len(corpus.files) > 3 else "")
        if not count:
            raise DataError("the data is empty: there is no text in it", where=where)
        if count <= self.context:
            raise DataError(
                f"the corpus has {count} tokens, and one window takes {self.context + 1}: the context, and the one to predict",
                where=where,
                help=f"set context to {count - 1} or less, or give it more text" if count > 1 else "give it more text",
            )
