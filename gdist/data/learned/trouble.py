"""What makes rows unusable, gathered over the whole pass: one error for all of it, the same on every worker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from gdist.data.learned.counts import MOST_CATEGORIES
from gdist.data.learned.place import unusable
from gdist.errors import DataError, GdistError, from_dict


class Trouble:
    """By (column, kind): how many values, and where the first is. ``part``: the number of the row group."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], dict[str, Any]] = {}
        self._raised: dict[str, Any] | None = None

    def note(self, name: str, kind: str, count: int, *, part: int, where: str, row: int) -> None:
        """``count`` values of a kind ("missing", "nan", "infinite") in one part, the first in ``row``."""
        self._add((name, kind), {"count": count, "part": part, "where": where, "row": row})

    def overflow(self, name: str) -> None:
        """A column has more distinct values than can be kept."""
        self._add((name, "overflow"), {"count": 0, "part": 0, "where": "", "row": 0})

    def raised(self, error: GdistError, *, part: int) -> None:
        """A part could not be read."""
        if self._raised is None or part < self._raised["part"]:
            self._raised = {"part": part, "error": error.to_dict()}

    @property
    def any(self) -> bool:
        return bool(self._found) or self._raised is not None

    def to_bytes(self) -> bytes:
        found = [[*key, value] for key, value in self._found.items()]
        return json.dumps({"found": found, "raised": self._raised}).encode()

    @classmethod
    def united(cls, every: Iterable[bytes]) -> Trouble:
        """That of all workers."""
        total = cls()
        for content in map(json.loads, every):
            for name, kind, value in content["found"]:
                total._add((name, kind), value)
            raised = content["raised"]
            if raised is not None and (total._raised is None or raised["part"] < total._raised["part"]):
                total._raised = raised
        return total

    def raise_if_any(self) -> None:
        """Raises what comes first in the data: an unreadable part, else the first column's."""
        if self._raised is not None:
            raise from_dict(self._raised["error"])
        if not self._found:
            return
        (name, kind), first = min(self._found.items(), key=lambda item: (item[1]["part"], item[1]["row"], item[0]))
        if kind == "overflow":
            raise DataError(
                f"column `{name}` has more than {MOST_CATEGORIES:,} distinct values",
                where=first["where"] or None,
                help="leave it out, keep its rarest values under one name, or write its hash modulo a number as a column",
            )
        raise unusable(name, kind, first["count"], where=first["where"], row=first["row"])

    def _add(self, key: tuple[str, str], value: dict[str, Any]) -> None:
        known = self._found.get(key)
        if known is None:
            self._found[key] = dict(value)
            return
        count = known["count"] + value["count"]
        if value["part"] < known["part"]:
            known.update(value)
        known["count"] = count
