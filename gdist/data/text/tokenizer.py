"""Text as whole numbers and back: what a tokenizer is, and the two that need no package, bytes and characters.

To add one: a ``Tokenizer`` with its name in ``restored``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gdist.data.text.pieces import Piece
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np

_CODE_POINTS = 0x110000  # of Unicode


class Tokenizer(ABC):
    """``vocabulary``: how many tokens there are, numbered from 0."""

    vocabulary: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The narrowest type that holds its tokens."""
        import numpy as np

        return np.dtype(np.uint8 if self.vocabulary <= 1 << 8 else np.uint16 if self.vocabulary <= 1 << 16 else np.uint32)

    @abstractmethod
    def encode(self, pieces: Iterable[Piece], *, separator: str | None = None) -> Iterator[np.ndarray]:
        """The tokens of ``dtype``, in order, those of ``separator`` after each document. Raises DataError that names file and
        byte of what it has no tokens for."""

    @abstractmethod
    def decode(self, tokens: Iterable[int]) -> str:
        """The text of ``tokens``; what is no text by itself, such as half a character, becomes U+FFFD."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All of it as JSON, from which ``restored`` makes it again."""


class Bytes(Tokenizer):
    """A byte is a token: any file is a corpus."""

    vocabulary = 256

    def encode(self, pieces: Iterable[Piece], *, separator: str | None = None) -> Iterator[np.ndarray]:
        import numpy as np

        between = np.frombuffer((separator or "").encode(), dtype=np.uint8)
        for piece in pieces:
            yield with_separators(piece.content, piece.ends, between)

    def decode(self, tokens: Iterable[int]) -> str:
        return bytes(int(token) for token in tokens).decode(errors="replace")

    def state(self) -> dict[str, Any]:
        return {"kind": "bytes"}


class Characters(Tokenizer):
    """A character is a token: those of the corpus, by their code points."""

    def __init__(self, characters: str) -> None:
        self._characters = characters
        self.vocabulary = len(characters)

    @classmethod
    def learn(cls, pieces: Iterable[Piece], *, separator: str | None = None) -> Characters:
        """The vocabulary is all characters that occur, sorted."""
        import numpy as np

        seen = np.zeros(_CODE_POINTS, dtype=bool)
        seen[_code_points(separator or "")] = True
        for piece in pieces:
            seen[_code_points(decoded(piece))] = True
        return cls("".join(map(chr, np.flatnonzero(seen))))

    def encode(self, pieces: Iterable[Piece], *, separator: str | None = None) -> Iterator[np.ndarray]:
        import numpy as np

        numbers = np.full(_CODE_POINTS, -1, dtype=np.int32)
        numbers[_code_points(self._characters)] = np.arange(self.vocabulary)
        between = numbers[_code_points(separator or "")]
        if (between < 0).any():
            raise DataError(
                f"the separator {separator!r} has a character that the vocabulary lacks",
                help="train and evaluate with the same separator",
            )
        for piece in pieces:
            text = decoded(piece)
            tokens = numbers[_code_points(text)]
            if tokens.size and tokens.min() < 0:
                unknown = int(tokens.argmin())
                raise DataError(
                    f"the character {text[unknown]!r} is not in the vocabulary, which was learned from the training data",
                    where=piece.place(len(text[:unknown].encode())),
                    help="train with tokenizer='bytes', which knows every text, or on a corpus that has this character",
                )
            begins = (piece.content & 0xC0) != 0x80  # the first byte of each character
            ends = np.cumsum(begins)[piece.ends - 1]
            yield with_separators(tokens, ends, between).astype(self.dtype)

    def decode(self, tokens: Iterable[int]) -> str:
        return "".join(self._characters[int(token)] for token in tokens)

    def state(self) -> dict[str, Any]:
        return {"kind": "characters", "characters": self._characters}


def restored(state: dict[str, Any]) -> Tokenizer:
    """The tokenizer whose ``state()`` this is. Raises DataError where a package is missing."""
    if state["kind"] == "bytes":
        return Bytes()
    if state["kind"] == "characters":
        return Characters(state["characters"])
    from gdist.data.text.subwords import Subwords

    return Subwords(state["json"], where="the tokenizer saved with the run")


def decoded(piece: Piece) -> str:
    """Raises DataError that names the first byte that is no UTF-8."""
    try:
        return piece.content.tobytes().decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8: byte 0x{piece.content[error.start]:02x} ({error.reason})",
            where=piece.place(error.start),
            help="write the file as UTF-8, leave it out, or use tokenizer='bytes', which takes any file",
        ) from None


def with_separators(tokens: np.ndarray, ends: np.ndarray, between: np.ndarray) -> np.ndarray:
    """``tokens`` with ``between`` put in at each of ``ends``."""
    import numpy as np

    if not len(between) or not len(ends):
        return tokens
    return np.insert(tokens, np.repeat(ends, len(between)), np.tile(between, len(ends)))


def _code_points(text: str) -> np.ndarray:
    import numpy as np

    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
