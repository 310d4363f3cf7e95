"""Windows of a corpus by their number, cut from tokens that are mapped into memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.data.batch import Batch
from gdist.data.cache import cached
from gdist.data.identity import stamps, total
from gdist.data.source import Column, Rows
from gdist.data.text.choose import choose, deadline_s, hashed
from gdist.data.text.tokenizer import Tokenizer, restored
from gdist.data.text.tokens import Tokens, map_tokens, write_tokens
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from gdist.data.facts import DataFacts
    from gdist.data.text.corpus import Corpus, Progress
    from gdist.data.text.text import Text

_KEPT_STAMPS = 1 << 22  # 32 MiB of them


class TextRows(Rows):
    """Row i is ``tokens[i * stride : i * stride + context + 1]``: all but the last as features, all but the first as target.
    A window that the tokens do not fill is left out.

    Tokenizes when the first row is asked for, unless the cache has the tokens: ``with_state`` may still say by what tokenizer.
    ``progress(bytes done, of all)`` is called meanwhile, and before that while one is learned. The pages of the tokens' file
    are shared by all processes of the machine.
    """

    def __init__(
        self, source: Text, corpus: Corpus, *, learned: dict[str, Any] | None = None, progress: Progress | None = None
    ) -> None:
        """``learned``: the ``state()`` of a tokenizer that reads this corpus; None: the one that ``source`` names."""
        self._source = source
        self._corpus = corpus
        self._learned = learned
        self._progress = progress
        self._context = source.context
        self._stride = source.stride or source.context

    def __len__(self) -> int:
        return len(self._windows)

    def take(self, rows: np.ndarray) -> Batch:
        import numpy as np
        import torch

        if self._apart is not None:
            features, target = (part.take(rows, axis=0).astype(np.int64) for part in self._apart)
        else:
            windows = self._windows[rows]  # numpy copies window by window; its take() would copy the whole corpus first
            features, target = windows[:, :-1].astype(np.int64), windows[:, 1:].astype(np.int64)
        columns = {"features": torch.from_numpy(features), "target": torch.from_numpy(target)}
        return Batch(columns, stamp=total(stamps(0, rows) if self._stamps is None else self._stamps.take(rows)))

    @cached_property
    def _apart(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Where windows follow one another: features and target as rows of one block each, which are gathered faster."""
        if self._stride != self._context:
            return None
        tokens, all_of_them = self.tokens, len(self) * self._context
        shape = (len(self), self._context)
        return tokens[:all_of_them].reshape(shape), tokens[1 : all_of_them + 1].reshape(shape)

    def fingerprint(self) -> str:
        """Of the tokens themselves, their windows and the tokenizer: equal wherever the same files lie."""
        dtype = self.tokens.dtype.str
        words = json.dumps([self._mapped.sha256, dtype, self._context, self._stride, self.state()], sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()[:32]

    def columns(self) -> dict[str, Column]:
        import torch

        return dict.fromkeys(("features", "target"), Column((self._context,), torch.int64))

    def facts(self) -> DataFacts:
        """``classes`` is the size of the vocabulary."""
        from gdist.data.facts import DataFacts

        return DataFacts(shape=(self._context,), classes=self.tokenizer.vocabulary)

    def place(self, row: int) -> str:
        first = row * self._stride
        return f"window {row}, tokens {first} to {first + self._context} of the corpus"

    def files(self) -> list[dict[str, Any]]:
        return [file.identity() for file in self._corpus.files]

    def state(self) -> dict[str, Any]:
        """The tokenizer, with all of its vocabulary."""
        return {"tokenizer": self.tokenizer.state()}

    def with_state(self, state: Mapping[str, Any]) -> TextRows:
        """The corpus as another one's tokenizer reads it."""
        learned = state.get("tokenizer", self._learned)
        if learned == self._learned:
            return self
        return TextRows(self._source, self._corpus, learned=learned, progress=self._progress)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens, such as a row of a batch or what a model wrote."""
        return self.tokenizer.decode(tokens)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Learned or read when first asked for. Raises DataError."""
        if self._learned is not None:
            return restored(self._learned)
        source = self._source
        return choose(
            source.tokenizer, self._corpus, separator=source.separator, storage=source.storage, progress=self._progress
        )

    @property
    def tokens(self) -> np.ndarray:
        """The whole corpus, end to end: uint8, uint16 or uint32, shape (tokens,), mapped into memory read-only."""
        return self._mapped.array

    @cached_property
    def _mapped(self) -> Tokens:
        tokenizer, separator, corpus = self.tokenizer, self._source.separator, self._corpus

        def write(path: Path) -> None:
            write_tokens(path, tokenizer.encode(corpus.pieces(self._progress), separator=separator), dtype=tokenizer.dtype)

        key = hashed(corpus.key(), tokenizer.state(), separator)
        return cached("tokens", key, write, map_tokens, deadline_s=deadline_s(corpus))

    @cached_property
    def _windows(self) -> np.ndarray:
        """A view of the tokens, shape (windows, context + 1). Raises DataError where there is none."""
        import numpy as np

        tokens, window, step = self.tokens, self._context + 1, self.tokens.itemsize
        if len(tokens) < window:
            self._refuse(len(tokens))
        count = (len(tokens) - window) // self._stride + 1
        strides = (self._stride * step, step)
        return np.lib.stride_tricks.as_strided(tokens.view(np.ndarray), (count, window), strides, writeable=False)

    @cached_property
    def _stamps(self) -> np.ndarray | None:
        """Of all rows, if they are few enough: looking them up costs a tenth of making them for a batch of 64."""
        import numpy as np

        return stamps(0, np.arange(len(self))) if len(self) <= _KEPT_STAMPS else None

    def _refuse(self, count: int) -> None:
        shown = [file.shown for file in self._corpus.files]
        where = ", ".join(shown[:3]) + (" ..." if len(shown) > 3 else "")
        if not count:
            raise DataError("the data is empty: there is no text in it", where=where)
        raise DataError(
            f"the corpus has {count} tokens, and one window takes {self._context + 1}: the context, and the one to predict",
            where=where,
            help=f"set context to {count - 1} or less, or give it more text" if count > 1 else "give it more text",
        )
