"""Windows of a corpus by their number, cut from tokens that are mapped into memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gdist.data.batch import Batch
from gdist.data.identity import stamps, total
from gdist.data.source import Column, Rows

if TYPE_CHECKING:
    import numpy as np

    from gdist.data.text.tokenizer import Tokenizer
    from gdist.data.text.tokens import Tokens


class TextRows(Rows):
    """Row i is ``tokens[i * stride : i * stride + context + 1]``: all but the last as features, all but the first as target.

    The pages of the file that batches touch are shared by all processes of the machine. A window that the tokens do not fill is
    left out.
    """

    def __init__(self, tokens: Tokens, *, context: int, stride: int, tokenizer: Tokenizer, files: list[dict[str, Any]]) -> None:
        import numpy as np

        self.tokens = tokens.array  # shape (tokens,)
        self.tokenizer = tokenizer
        self.files = files  # what tells whether they have changed since
        self._context = context
        self._stride = stride
        self._sha256 = tokens.sha256
        count = max(len(self.tokens) - context - 1, -1) // stride + 1
        step = self.tokens.itemsize
        self._windows = np.lib.stride_tricks.as_strided(
            self.tokens.view(np.ndarray), (count, context + 1), (stride * step, step), writeable=False
        )

    def __len__(self) -> int:
        return len(self._windows)

    def take(self, rows: np.ndarray) -> Batch:
        import numpy as np
        import torch

        windows = self._windows[rows]  # numpy copies window by window; take() would first copy the whole corpus
        features, target = windows[:, :-1].astype(np.int64), windows[:, 1:].astype(np.int64)
        columns = {"features": torch.from_numpy(features), "target": torch.from_numpy(target)}
        return Batch(columns, stamp=total(stamps(0, rows)))

    def fingerprint(self) -> str:
        """Of the tokens themselves, their windows and the tokenizer."""
        words = json.dumps([self._sha256, self.tokens.dtype.str, self._context, self._stride, self.state()], sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()[:32]

    def columns(self) -> dict[str, Column]:
        import torch

        return dict.fromkeys(("features", "target"), Column((self._context,), torch.int64))

    def place(self, row: int) -> str:
        first = row * self._stride
        return f"window {row}, tokens {first} to {first + self._context} of the corpus"

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens, such as a row of a batch or what a model wrote."""
        return self.tokenizer.decode(tokens)

    def state(self) -> dict[str, Any]:
        """The tokenizer, vocabulary and all, as JSON: ``Text.open(learned=...)`` reads other text by it."""
        return self.tokenizer.state()
