"""How many workers a run may have: ``4``, or ``1:8`` for between one and eight of them (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from gdist.errors import UsageError

Wanted = int | str | tuple[int, int]  # as users write it: 4, "4", "1:8", (1, 8)

_MEND = "a number, or least:most such as 1:8"


@dataclass(frozen=True)
class Bounds:
    """From ``least`` to ``most`` workers, 1 <= least <= most; both the same: a fixed number."""

    least: int
    most: int

    def __str__(self) -> str:
        return str(self.most) if self.least == self.most else f"{self.least}:{self.most}"

    @property
    def words(self) -> str:
        """``4 workers``, ``1 to 8 workers``."""
        if self.least == self.most:
            return f"{self.most} worker{'' if self.most == 1 else 's'}"
        return f"{self.least} to {self.most} workers"


def bounds(wanted: Wanted, *, where: str | None = None) -> Bounds:
    """What ``wanted`` means. ``where``: what the user wrote it in, for the error (None: ``--workers``). Raises UsageError."""
    if where is None:
        where = f"--workers {':'.join(map(str, wanted)) if isinstance(wanted, tuple) else wanted}"
    if isinstance(wanted, bool) or not isinstance(wanted, int | str | tuple):
        raise UsageError(f"`{wanted}` is no number of workers", where=where, help=_MEND)
    if isinstance(wanted, str):
        least, most = _read(wanted, where)
    else:
        least, most = _pair(wanted, where)
    if min(least, most) < 1:
        raise UsageError(f"there cannot be {min(least, most)} workers", where=where, help="one is the least")
    if least > most:
        raise UsageError(
            f"at least {least} and at most {most} workers contradict each other",
            where=where,
            help=f"the least first: {most}:{least}",
        )
    return Bounds(least, most)


def _read(text: str, where: str) -> tuple[int, int]:
    first, colon, second = (part.strip() for part in text.partition(":"))
    if colon and bool(first) != bool(second):
        lacks, whole = ("most", f"{first}:8") if first else ("least", f"1:{second}")
        raise UsageError(f"`{text}` does not say the {lacks}", where=where, help=f"such as {whole}")
    try:
        return int(first), int(second if colon else first)
    except ValueError:
        raise UsageError(f"`{text}` is no number of workers", where=where, help=_MEND) from None


def _pair(wanted: int | tuple[int, int], where: str) -> tuple[int, int]:
    if isinstance(wanted, int):
        return wanted, wanted
    if len(wanted) != 2 or not all(isinstance(each, int) for each in wanted):
        raise UsageError(f"`{wanted}` is no number of workers", where=where, help="a number, or (least, most)")
    return wanted
