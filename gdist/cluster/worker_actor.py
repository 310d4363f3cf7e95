"""A worker's process under Ray: a Member that does what the controller orders, on the process's main thread.

Everything of torch happens on the main thread, where user code may use signals and where the thread pools of torch's kernels
belong; a second thread holds the lease and receives orders, a third says what happened (voice.py); where the worker stands
goes with each pull as well.
"""

from __future__ import annotations

import os
import queue
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gdist.cluster.assignment import Assignment
from gdist.cluster.broken_device import broken_device
from gdist.cluster.lease import Lease, end_unless_claimed, leave_process
from gdist.cluster.orders import Change, Exit, Join, Order, SaveNow, Standing, WishFor
from gdist.cluster.sent_job import unpack_job
from gdist.cluster.verdict import as_gdist
from gdist.cluster.voice import Voice
from gdist.cluster.worker_process import facts_of_process, on_termination, set_up_process
from gdist.errors import PeerLost, Superseded
from gdist.fault_points import fault_context
from gdist.records import Changed, Membership, Wishes

if TYPE_CHECKING:
    from gdist.worker.member import Member

BROKEN_DEVICE = 70  # exit code


class WorkerActor:
    """One worker; detached, never restarted by Ray (its state would be gone)."""

    def __init__(self, post: Assignment) -> None:
        self._post = post
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()  # None: somebody listens anew
        self._wishes = Wishes()
        self._changes: dict[int, Membership] = {}
        self._newest = 0  # the highest generation that a Join named
        self._standing = Standing()
        self._member: Member | None = None
        self._unclaimed = end_unless_claimed()

    def live(self, controller: Any) -> None:
        """The worker's whole life, which ends the process."""
        self._unclaimed.cancel()
        post = self._post
        self._voice = voice = Voice(controller, post.slot, post.incarnation)
        voice.start()
        self._standing.started = facts_of_process()
        lease = Lease(
            controller, who=f"worker-{post.slot}", incarnation=post.incarnation, standing=lambda: replace(self._standing),
            on_order=self._receive, on_written=self._written, on_new=self._speak_again, on_lost=self._orphaned,
        )  # fmt: skip
        lease.start()
        self._scratch_lock = set_up_process(post.run_id, post.slot, post.incarnation, post.folder, post.threads)
        on_termination(lambda: self._voice.report("leaving", reason="SIGTERM"))
        self._voice.report("started", **self._standing.started)
        from gdist.worker.dynamo import import_compiler_late
        from gdist.worker.machine import keep_freed_memory

        keep_freed_memory()
        import_compiler_late()
        from gdist.worker.member import make_member

        fault_context(worker=post.slot, incarnation=post.incarnation)
        member = make_member(post.order, slot=post.slot, send=voice.send, wishes=self._wishes, threads=post.threads)
        member.outbox.acknowledge(0)  # somebody will: nothing is forgotten that is not written
        self._member = member
        try:
            self._obey(member)
        finally:
            member.leave()
            self._voice.flush()
            lease.close()
        leave_process()

    def until_gone(self) -> None:
        """Never answered while this worker lives: whoever waits for it hears of its death from Ray."""

    def _obey(self, member: Member) -> None:
        try:
            if self._post.made is not None:
                member.order = replace(member.order, **unpack_job(self._post.made))
            hello = member.prepare(host=self._reached_at())
        except BaseException as error:
            self._fail(error, step=None)
        else:
            hello |= {"node": self._standing.started["node"]}
            self._standing = replace(self._standing, state="ready", hello=hello)
            self._voice.report("hello", **hello)
        while True:
            order = self._orders.get()
            if isinstance(order, Exit):
                return
            if isinstance(order, Join):
                self._take_part(member, order.membership)
            elif isinstance(order, SaveNow):
                self._save(member, order)
            elif order is None:
                member.outbox.flush()

    def _take_part(self, member: Member, place: Membership) -> None:
        """Trains in ``place`` and in the planned generations that follow on it."""
        while place.generation >= self._newest:
            number = place.generation
            self._stand("forming", number, member, workers=place.workers)
            try:
                member.join(place, cancelled=lambda number=number: self._newest > number)  # type: ignore[misc]
                self._stand("training", number, member)
                self._voice.report("entered", generation=number, step=member.step)
                outcome = member.work()
            except Superseded:
                return self._stand("broken", number, member)
            except PeerLost:
                member.leave()  # its peers are free at once
                self._stand("broken", number, member)
                return self._voice.report("broken", generation=number, step=self._standing.step)
            except BaseException as error:
                member.leave()
                return self._fail(error, step=_step(member), generation=number)
            if not isinstance(outcome, Changed):
                self._standing.result = outcome
                self._stand("returned", number, member)
                return self._voice.report("returned", generation=number, step=member.step, result=outcome)
            if not outcome.generation:  # all leave, with a checkpoint
                self._stand("left", number, member)
                return self._voice.report("left", generation=number, step=member.step)
            place = self._changes.pop(outcome.generation)
            for past in [each for each in self._changes if each < outcome.generation]:
                del self._changes[past]
            if place.rank < 0:
                self._stand("left", number, member)
                return self._voice.report("left", generation=number, step=member.step)
        return self._stand("broken", place.generation, member)  # a Join for a later one waits

    def _save(self, member: Member, order: SaveNow) -> None:
        samples: list[str] = []
        try:
            if order.blame is not None:
                from gdist.worker.samples import samples_of

                samples = samples_of(member.built, *order.blame)
            self._voice.report("saved", step=member.save(), samples=samples)
        except BaseException as error:
            self._voice.report("saved", step=member.step, error=as_gdist(error).to_dict(), samples=samples)

    def _fail(self, error: BaseException, *, step: int | None, generation: int = 0) -> None:
        broken = broken_device(error)
        if broken is not None:
            os.write(1, f"{broken}\n".encode())  # its last words
            self._voice.flush()
            os._exit(BROKEN_DEVICE)
        told = as_gdist(error).to_dict()
        self._standing = replace(self._standing, state="failed", step=step, generation=generation, error=told)
        self._voice.report("failed", error=told, step=step, generation=generation)

    def _stand(
        self, state: str, generation: int, member: Member, *, workers: tuple[tuple[int, int], ...] | None = None
    ) -> None:
        was = self._standing
        workers = was.workers if workers is None else workers
        self._standing = replace(was, state=state, generation=generation, step=_step(member), workers=workers)

    def _reached_at(self) -> str:
        import ray

        address: Any = ray.util.get_node_ip_address
        return "127.0.0.1" if self._post.one_machine else str(address())

    def _receive(self, order: Order) -> None:
        """On the lease's thread."""
        if isinstance(order, WishFor):
            self._wishes.add(order.wish, reason=order.reason)
        elif isinstance(order, Change):
            self._changes[order.membership.generation] = order.membership
            self._wishes.change(order.membership.generation)
        else:
            if isinstance(order, Join):
                if order.membership.generation > self._newest and self._member is not None:
                    self._member.break_off(order.membership.generation)
                self._newest = max(self._newest, order.membership.generation)
            self._orders.put(order)

    def _written(self, step: int) -> None:
        if self._member is not None:
            self._member.outbox.acknowledge(step)

    def _speak_again(self) -> None:
        """Another controller has taken the run up: what its predecessor may not have written is said once more."""
        if self._member is not None:
            self._member.outbox.say_again()
            self._orders.put(None)

    def _orphaned(self, reason: str) -> None:
        """Nobody is left to report to: a checkpoint at the next boundary, which training writes as it ends, and out."""
        self._wishes.add("stop", reason=reason)
        self._orders.put(Exit())


def _step(member: Member) -> int | None:
    return member.step if member.has_state else None
