"""The tokenizer that a source names: made at once, read from a file, or learned from the corpus, once, into the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from gdist.data.cache import kept
from gdist.data.text.corpus import Corpus, Progress
from gdist.data.text.pieces import Piece
from gdist.data.text.tokenizer import Bytes, Characters, Tokenizer, restored
from gdist.description import Description
from gdist.errors import DataError

WORDS = ("bytes", "characters")
_VERSION = 1  # of what stands in the cache


class TrainTokenizer(Description):
    """``TrainTokenizer(vocabulary=8000)``: a tokenizer learned from the corpus by the package ``tokenizers``."""

    kind: Literal["bpe"] = Field(default="bpe", description="byte-pair encoding of bytes: it encodes any text")
    vocabulary: int = Field(default=8000, ge=257, description="tokens: 256 bytes, the end of a text, and what is learned")
    end: str = Field(default="<|endoftext|>", min_length=1, description="the token after each document")


def choose(
    named: str | Path | TrainTokenizer,
    corpus: Corpus,
    *,
    separator: str | None,
    storage: dict[str, Any],
    progress: Progress | None,
) -> Tokenizer:
    """Raises DataError for a tokenizer's file that is missing or damaged, and for a corpus that cannot be read."""
    if named == "bytes":
        return Bytes()
    if named == "characters":

        def characters(pieces: Iterable[Piece]) -> Tokenizer:
            return Characters.learn(pieces, separator=separator)

        return _learned(characters, corpus, progress, of=[named, separator])
    from gdist.data.text.subwords import Subwords, learn_bpe, package

    if isinstance(named, TrainTokenizer):

        def bpe(pieces: Iterable[Piece]) -> Tokenizer:
            json = learn_bpe(pieces, vocabulary=named.vocabulary, end=named.end)
            return Subwords(json, where="the tokenizer learned from the corpus")

        return _learned(bpe, corpus, progress, of=[named.model_dump(), package().__version__])
    json, where = _read(named, storage)
    return Subwords(json, where=where)


def hashed(*of: Any) -> str:
    """Of JSON: what tells an entry of the cache from others."""
    return hashlib.sha256(json.dumps([_VERSION, *of], sort_keys=True).encode()).hexdigest()[:32]


def deadline_s(corpus: Corpus) -> float:
    """How long a process waits for another one to read the corpus, at the slowest pace that is worth waiting for."""
    return 3600 + corpus.stored_bytes / 250_000


def _learned(
    learn: Callable[[Iterable[Piece]], Tokenizer], corpus: Corpus, progress: Progress | None, *, of: list[Any]
) -> Tokenizer:
    def make() -> bytes:
        return json.dumps(learn(corpus.pieces(progress)).state()).encode()

    return restored(json.loads(kept("tokenizer", hashed(corpus.key(), of), make, deadline_s=deadline_s(corpus))))


def _read(path: str | Path, storage: dict[str, Any]) -> tuple[str, str]:
    """(JSON, the file as the user may see it)."""
    from gdist.data.storage import find_files

    (file,) = find_files(path, suffixes=(".json",), options=storage)[:1]
    with file.open() as source:
        content = source.read()
    try:
        return bytes(content).decode(), file.shown
    except UnicodeDecodeError:
        raise DataError("not a tokenizer: the file is no JSON", where=file.shown) from None
