"""Which rows train, validate and test: ``Split(share=0.1)``, by groups, by classes, or by a column that says so.

The parts follow from (number of rows, split, seed, the column's values) alone: the same on every machine, whatever the number
of workers. A share by rows reads no data; any other reads one column once, and keeps what it found in the cache.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field, model_validator

from gdist.data.cache import kept
from gdist.data.index import Index
from gdist.data.sides import by_column_s_values, by_rows
from gdist.description import Description, refuse, shown
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from gdist.data.source import Rows

_VERSION = 1  # of the rule: another one must not find the parts of this one in the cache

Value = bool | int | float | str


class Split(Description):
    """``Split(share=0.1, test=0.1)``, ``Split(share=0.1, group="user_id")``, ``Split(share=0.1, stratify=True)``, or
    ``Split(column="split", validation="val", test="test")``. What is neither validation nor test trains."""

    share: float | None = Field(default=None, gt=0, lt=1, description="of the rows, to validate")
    test: Value | tuple[Value, ...] | None = Field(
        default=None, description="share of the rows to test at the end; with `column`: the value or values of test rows"
    )
    group: str | None = Field(default=None, description="column whose equal values are never on two sides")
    stratify: bool | str = Field(
        default=False, description="True: the target's classes have their share on each side; or a column"
    )
    column: str | None = Field(default=None, description="column that says what a row is for")
    validation: Value | tuple[Value, ...] | None = Field(default=None, description="value or values of `column` that validate")
    train: Value | tuple[Value, ...] | None = Field(
        default=None, description="value or values of `column` that train; all that are left if not set"
    )

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}

    @model_validator(mode="after")
    def _agrees(self) -> Split:
        if self.column is not None:
            for name in ("share", "group", "stratify"):
                if getattr(self, name):
                    refuse(
                        f"`{name}` cannot act with `column`: the column says what each row is for", help="leave one of them out"
                    )
            if self.validation is None and self.test is None:
                refuse(f"which rows of `{self.column}` validate?", help="Split(column='split', validation='val', test='test')")
            return self
        for name in ("validation", "train"):
            if getattr(self, name) is not None:
                refuse(f"`{name}` cannot act without `column`", help="Split(column='split', validation='val', test='test')")
        if self.share is None and self.test is None:
            refuse("the split says not what is held out", help="Split(share=0.1), or Split(column='split', validation='val')")
        if self.test is not None and (not isinstance(self.test, float) or not 0 < self.test < 1):
            refuse(
                f"`test` must be a share between 0 and 1, not {shown(self.test)}",
                help="values need a column: Split(column=...)",
            )
        if sum(self.shares) >= 1:
            refuse(f"`share`={self.share} and `test`={self.test} leave nothing to train on", help="their sum must be below 1")
        if self.group and self.stratify:
            refuse("`group` and `stratify` cannot both be kept", help="leave one of them out, or split by a column of your own")
        return self

    @property
    def shares(self) -> tuple[float, float]:
        """Of (validation, test) rows, 0 for none."""
        return self.share or 0.0, self.test if isinstance(self.test, float) else 0.0

    @property
    def validates(self) -> bool:
        """Whether rows are held out for validation."""
        return (self.validation if self.column is not None else self.share) is not None

    @property
    def reads(self) -> str | None:
        """The column that decides; None where none does."""
        return self.column or self.group or ("target" if self.stratify is True else self.stratify or None)

    def describe(self) -> dict[str, Any]:
        """What is set, as JSON."""
        return {"kind": "Split", **self.model_dump(mode="json", exclude_defaults=True)}


class Parts(NamedTuple):
    """``said``: what the user should know of it, as sentences."""

    train: Index
    validation: Index | None
    test: Index | None
    said: tuple[str, ...] = ()


def settle(validation: Any, test: Any) -> Split | None:
    """The split that a job's fields ``validation`` and ``test`` ask for: shares, a Split, or neither."""
    share = validation if isinstance(validation, float) else None
    tested = test if isinstance(test, float) else None
    if isinstance(validation, Split):
        if tested is None:
            return validation
        if validation.column is not None:
            refuse(
                f"`test`={tested} is a share, but column `{validation.column}` says what each row is for",
                help="name its value: Split(column=..., test='test')",
            )
        if validation.test is not None:
            refuse(
                f"`test`={tested} and `validation.test`={shown(validation.test)} are two names for one thing", help="set one"
            )
        return validation.replace({"test": tested}, prefix="validation.")
    return None if share is None and tested is None else Split(share=share, test=tested)


def divide(rows: Rows, split: Split | None, *, seed: int) -> Parts:
    """The parts of ``rows``. Raises DataError for a column that is not there, a value that does not occur, an empty side."""
    if split is None:
        return Parts(Index.all(len(rows)), None, None)
    n = len(rows)
    said: list[str] = []
    if split.reads is None:
        bits = by_rows(n, split, seed=seed)
    else:
        name, content = split.reads, rows.content_key()

        def find() -> tuple[np.ndarray, list[str]]:
            try:
                return by_column_s_values(rows.read_column(name), n, split, seed=seed)
            except DataError as error:
                error.where = error.where or _files(rows)
                raise

        if content is None:
            bits, said = find()
        else:
            depends = [_VERSION, content, split.describe(), seed]
            key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:32]
            bits, said = _restored(kept("split", key, lambda: _stored(*find())))
    train, validation, test = (Index.of_mask(part, n) for part in bits)
    if not len(train):
        raise DataError("no row is left to train on", where=f"split by column `{split.reads}`", help="hold less out")
    return Parts(train, validation if len(validation) else None, test if len(test) else None, tuple(said))


def _files(rows: Rows) -> str | None:
    files = [str(file["path"]) for file in rows.files()]
    return f"{files[0]} and {len(files) - 1} more" if len(files) > 1 else files[0] if files else None


def _stored(bits: np.ndarray, said: list[str]) -> bytes:
    import numpy as np

    out = io.BytesIO()
    np.savez(out, bits=bits, said=np.frombuffer(json.dumps(said).encode(), dtype=np.uint8))
    return out.getvalue()


def _restored(content: bytes) -> tuple[np.ndarray, list[str]]:
    import numpy as np

    with np.load(io.BytesIO(content)) as file:
        return file["bits"], json.loads(file["said"].tobytes())
