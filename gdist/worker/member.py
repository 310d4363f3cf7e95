"""A member of a run: one worker from preparation to its last word, whoever started it (Ray, torchrun, one process).

member = make_member(order, slot=0, send=..., wishes=...)
hello = member.prepare()           job, model, data: everything that needs no peers
member.join(membership)            a generation: connections, then the same state on all
outcome = member.work()            the steps
member.save()                      a checkpoint of the last good step, after a failure too
member.leave()

``join`` and ``work`` follow one another as often as generations do; a worker joins fresh, as a survivor with its state, or
with nothing, which it then receives. ``work`` ends in one of four ways, each of which has left the generation:

    a dict               the run is over, this is its result: report Returned; should a peer be lost, it may be told to join
                         once more, and ``work`` then returns the same, once all have it
    Changed(generation)  all members have left at the same boundary to enter that generation, which a Change order has brought
                         (``Wishes.change``): join its membership, or, with rank -1, report Left; generation 0: all were asked
                         to leave (the wish "drain") and have saved: report Left
    raises PeerLost      the generation broke: report Broken with ``step`` if ``has_state``, else with None, and wait for a Join
    raises another       this worker failed by its own doing: report Failed; ``save`` still works if ``has_state``

``join`` itself ends well, or raises PeerLost (a peer is gone before all had the state), Superseded (``cancelled`` said so), or
another error, as ``work`` does. After it ``step`` is where the generation begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gdist.errors import RunFailed
from gdist.fault_points import fault_context, fault_point
from gdist.records import Changed, Membership, Order, Watch, Wishes
from gdist.worker.prepared import Prepared

if TYPE_CHECKING:
    from gdist.engine.collective import Collective
    from gdist.worker.training import Training


class Member(Prepared):
    """The arguments are those of ``Prepared``."""

    def __init__(self, order: Order, *, slot: int, send: Watch, wishes: Wishes, threads: int | None = None) -> None:
        super().__init__(order, slot=slot, send=send, wishes=wishes, threads=threads)
        self._training: Training | None = None
        self._ended = False  # the user's callbacks have heard of the run's end

    @property
    def step(self) -> int:
        """Steps taken, all of them good."""
        return self._training.session.progress.step if self._training is not None else 0

    @property
    def has_state(self) -> bool:
        """Whether others could go on from what this worker holds."""
        return self._training is not None and self._training.session.state.whole

    def join(
        self, membership: Membership, collective: Collective | None = None, *, cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        """Enters a generation; then the state is the same on all its members, to the bit. ``collective``: one that exists
        already; ``cancelled``: asked while peers are awaited, whether to give up (raises Superseded)."""
        begun = time.monotonic()
        self.leave()
        self._allowances.begin()
        self._allowances.enter("join", self.step)
        fault_context(generation=membership.generation)
        self.outbox.leads = self.outbox.leads and membership.rank == 0
        try:
            collective = collective or self._connect(membership, cancelled)
            self._enter(membership, collective, begun)
        except BaseException:
            if collective is not None:
                collective.close()  # its peers are free at once
            self._allowances.enter("idle", self.step)
            raise

    def _enter(self, membership: Membership, collective: Collective, begun: float) -> None:
        from gdist.worker.beginning import begin, say_generation, write_down
        from gdist.worker.handover import level

        fault_point("connected")
        self.complete(collective)
        built = self.built
        if not self.has_state:
            self._training = begin(
                built, membership, self.order, outbox=self.outbox, wishes=self._wishes, allowances=self._allowances,
                name=self.name,
            )  # fmt: skip
        training = self._training
        assert training is not None, "made just now, or before"
        session = training.session
        fault_point("handover")
        level(collective, session.state, source=membership.source, device=built.device)
        fault_point("level")
        built.engine.at = self._allowances.enter
        built.engine.join(collective, generation=membership.generation, skip=membership.skip)
        session.generation = membership.generation
        if membership.rank == 0:
            self.outbox.lead()
        write_down(session, membership)
        self.outbox.begin(
            generation=membership.generation, samples=built.plan.samples, batch_size=built.plan.batch_size,
            data=built.data.fingerprint,
        )  # fmt: skip
        session.keeper.begin(
            generation=membership.generation, rank=membership.rank, members=membership.workers, shared=membership.one_host
        )
        training.enter()
        say_generation(session, membership, begun)
        fault_point("entered")

    def work(self) -> dict[str, Any] | Changed:
        """Takes the remaining steps, of the run or of the generation; returns the contents of ``result.json`` but for
        ``wall_seconds`` of the whole command, or what the generation ended for. See above for the rest."""
        training = self._training
        assert training is not None, "join() comes first"
        try:
            outcome = training.run()
            if not isinstance(outcome, Changed) and not self._ended:
                self._ended = True
                training.session.tell("on_end", outcome)
            self.outbox.flush()
        except BaseException:
            self.leave()  # its peers are free at once
            raise
        finally:
            self._allowances.enter("idle", self.step)
        if isinstance(outcome, Changed):
            self.leave()
        return outcome

    def save(self, name: str | None = None) -> int:
        """A durable checkpoint of the last good step, whatever rank this is; returns the step."""
        assert self._training is not None, "join() comes first"
        session = self._training.session
        if not self.has_state:
            raise RunFailed("there is no good step to save: this worker has no state, or a step was broken off in its update")
        self.outbox.lead()
        if session.progress.kept:
            return self.step
        session.save(name, wait=True, alone=True)
        session.keeper.report(self.outbox)
        self.outbox.flush()
        return self.step

    def leave(self) -> None:
        """Ends this worker's part in its generation: its peers are told at once. Idempotent."""
        if self._making is not None and self._making.made is not None:
            self._making.made.engine.leave()

    def break_off(self, generation: int) -> None:
        """From any thread: ``generation`` forms without waiting for the end of the present one, if that is older; whoever waits
        in it for a peer is freed (``work`` raises PeerLost), though no connection has told of a loss (a vanished machine)."""
        training = self._training
        collective = training.session.built.engine.collective if training is not None else None
        if training is not None and collective is not None and training.session.generation < generation:
            collective.close()

    def close(self) -> None:
        """Leaves for good: nothing of this member goes on in other threads."""
        self.leave()
        if self._training is not None:
            self._training.session.keeper.flush()  # others may wait for this worker's part
        super().close()

    def _connect(self, membership: Membership, cancelled: Callable[[], bool]) -> Collective:
        from gdist.engine.collective import Alone
        from gdist.worker.connect import connect

        if membership.size == 1:
            return Alone()
        assert self._door is not None, "workers with peers are prepared with a host"
        return connect(self._door, membership, device=self.device, cancelled=cancelled, waiting=self._allowances.peers)


def make_member(order: Order, *, slot: int, send: Watch, wishes: Wishes, threads: int | None = None) -> Member:
    """A member for what the order is for; see ``Member`` for the rest."""
    if order.purpose == "train":
        return Member(order, slot=slot, send=send, wishes=wishes, threads=threads)
    from gdist.worker.inference import Inference

    return Inference(order, slot=slot, send=send, wishes=wishes, threads=threads)
