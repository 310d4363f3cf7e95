"""What a controller tells workers and agents to do. They pull their orders; nobody calls into a worker."""

from __future__ import annotations

from dataclasses import dataclass

from gdist.records import Membership, Wish


@dataclass(frozen=True)
class Join:
    """To a worker: enter this generation and train."""

    membership: Membership


@dataclass(frozen=True)
class WishFor:
    """To a worker: raise a wish; its loop puts it on the next step's control row."""

    wish: Wish
    reason: str


@dataclass(frozen=True)
class SaveNow:
    """To a worker whose training has ended: write a checkpoint of the last good step."""


@dataclass(frozen=True)
class Exit:
    """To a worker or an agent: its part is over, its process ends."""


@dataclass(frozen=True)
class WatchWorker:
    """To an agent: report the death of this process at once, and what it prints."""

    slot: int
    incarnation: int
    pid: int
    started: int | None  # clock ticks since boot: tells a reused pid


@dataclass(frozen=True)
class Kill:
    """To an agent: SIGKILL to these workers (slots) that it watches."""

    slots: tuple[int, ...]


Order = Join | WishFor | SaveNow | Exit | WatchWorker | Kill


class Mailbox:
    """Orders that wait for a member to pull them. What was not acknowledged (``after``) is handed out again."""

    def __init__(self) -> None:
        self._orders: list[tuple[int, Order]] = []
        self._count = 0

    def put(self, order: Order) -> None:
        self._count += 1
        self._orders.append((self._count, order))

    def after(self, number: int) -> list[tuple[int, Order]]:
        """The orders past ``number``; those up to it are forgotten."""
        self._orders = [(n, order) for n, order in self._orders if n > number]
        return list(self._orders)
