"""Subwords, by the ``tokenizers`` library: one that was saved as JSON, or byte-pair encoding learned from the corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gdist.data.text.pieces import Piece
from gdist.data.text.tokenizer import Tokenizer, decoded
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np

BATCH_BYTES = 2 << 20  # of text, encoded in one call by all cores; a token takes some hundred bytes meanwhile
_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "<end_of_text>")  # as makers call it


class Subwords(Tokenizer):
    """Of a tokenizer's JSON. ``end``: its token for the end of a text, if it has one. Raises DataError for what is none."""

    def __init__(self, json: str, *, where: str) -> None:
        library = package()
        try:
            self._tokenizer = library.Tokenizer.from_str(json)
        except Exception as error:  # the library raises no other
            raise DataError(
                "not a tokenizer: the file is damaged, or not the JSON that the package `tokenizers` saves",
                where=where,
                note=(str(error).splitlines() or [type(error).__name__])[0],
                help="save it again: tokenizer.save('tokenizer.json')",
            ) from error
        self._json = json
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        numbers = self._tokenizer.get_vocab(with_added_tokens=True)
        if not numbers:
            raise DataError("the tokenizer has no tokens", where=where, help="train it first")
        self.vocabulary = max(numbers.values()) + 1
        self.end = next((end for end in _ENDS if end in numbers), None)

    def encode(self, pieces: Iterable[Piece], *, separator: str | None = None) -> Iterator[np.ndarray]:
        """``separator``: a token or a text; ``end`` if not given."""
        import numpy as np

        between = self._separator(self.end if separator is None else separator)
        for batch in _batches(pieces):
            texts, is_end = _texts(batch)
            found = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            parts = []
            for each, ends in zip(found, is_end, strict=True):
                parts.append(np.array(each.ids, dtype=self.dtype))
                if ends:
                    parts.append(between)
            yield np.concatenate(parts)

    def decode(self, tokens: Iterable[int]) -> str:
        return str(self._tokenizer.decode([int(token) for token in tokens], skip_special_tokens=False))

    def state(self) -> dict[str, Any]:
        return {"kind": "tokenizers", "json": self._json}

    def _separator(self, text: str | None) -> np.ndarray:
        import numpy as np

        number = self._tokenizer.token_to_id(text) if text else None
        if number is not None:
            return np.array([number], dtype=self.dtype)
        return np.array(self._tokenizer.encode(text or "", add_special_tokens=False).ids, dtype=self.dtype)


def learn_bpe(pieces: Iterable[Piece], *, vocabulary: int, end: str) -> str:
    """The JSON of a byte-level byte-pair encoding (Sennrich et al. 2016; on bytes: Radford et al. 2019) of ``vocabulary``
    tokens, ``end`` among them: it encodes any text, and decodes to the same text."""
    library = package()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[end],
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for piece in pieces for text in _texts([piece])[0]), trainer)
    return str(tokenizer.to_str())


def package() -> Any:
    """The library ``tokenizers``. Raises DataError where it is not installed."""
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise DataError(
            "the package `tokenizers` is not installed, which this tokenizer needs",
            note=str(error),
            help="pip install 'gdist[text]', or tokenizer='bytes' or 'characters', which need nothing",
        ) from error
    return tokenizers


def _batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece.content)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _texts(batch: list[Piece]) -> tuple[list[str], list[bool]]:
    """The documents, or parts of them, as the library takes them, and whether a document ends with each."""
    texts: list[str] = []
    is_end: list[bool] = []
    for piece in batch:
        decoded(piece)  # an error is named by its place in the file
        content, stops = piece.content.tobytes(), piece.ends.tolist()
        is_end += [True] * len(stops)
        if not stops or stops[-1] < len(content):
            stops.append(len(content))
            is_end.append(False)
        texts += [content[start:stop].decode() for start, stop in pairwise([0, *stops])]
    return texts, is_end
