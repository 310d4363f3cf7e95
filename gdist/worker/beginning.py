"""How a worker begins: the state that it goes on from, and what the run folder and the events are told of a generation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gdist.records import Membership, Order, Wishes
from gdist.run.folder import RunFolder

if TYPE_CHECKING:
    from gdist.worker.build import Built
    from gdist.worker.hang import Allowances
    from gdist.worker.outbox import Outbox
    from gdist.worker.session import Session
    from gdist.worker.training import Training


def begin(
    built: Built, membership: Membership, order: Order, *, outbox: Outbox, wishes: Wishes, allowances: Allowances, name: str
) -> Training:
    """A worker without a state begins: fresh, with a checkpoint's, or with what it will receive from a peer."""
    from gdist.worker.keeper import Keeper
    from gdist.worker.session import Session
    from gdist.worker.state import RunState
    from gdist.worker.stopping import StopRules
    from gdist.worker.taking_up import take_over
    from gdist.worker.training import Training

    folder = RunFolder(Path(membership.run_dir)) if membership.run_dir else None
    keeper = Keeper.of(built.job, folder)
    state = RunState(built.engine.replica, StopRules(built.job.stop), outbox, whole=membership.source is None)
    if state.whole and (order.resume or (membership.restore and keeper.holds_any())):
        for sentence in take_over(keeper.newest(outbox), built, state.progress, state.rules, accept=order.accept):
            outbox.event("explained", text=sentence)
        if order.resume:
            state.progress.begin_session()
    session = Session(
        built, state, outbox=outbox, wishes=wishes, keeper=keeper, allowances=allowances, order=order,
        name=name, folder=folder,
    )  # fmt: skip
    return Training(session)


def write_down(session: Session, membership: Membership) -> None:
    """What the job is, by whoever leads as the run begins."""
    from gdist.job.describe import describe
    from gdist.worker.telling import say_started

    built, folder, order = session.built, session.folder, session.order
    begins, session.progress.begun = not session.progress.begun, True
    if session.outbox.leads and folder is not None and (begins or not folder.job()):  # its predecessor may not have come to it
        if not order.resume and not membership.restore:
            session.keeper.require_empty()
        if order.job_file and not order.resume:
            folder.copy_source(order.job_file)
        resolved = describe(built.job) | {"micro_batches": built.plan.micro_batches, "batch_size": built.plan.batch_size}
        facts = built.feed.rows.facts().to_json()
        folder.write_data({"files": built.data.files, "state": built.data.state, "facts": facts})
        folder.write_job(resolved, job_file=order.job_file, overrides=order.overrides)
        folder.remove_result()
    if begins:
        say_started(session, workers=membership.size, resumed=order.resume)


def say_generation(session: Session, membership: Membership, begun: float) -> None:
    """The event ``generation``; ``pause_seconds``: from the last step's end until now, when the next can begin."""
    before, now = session.progress.members, [list(worker) for worker in membership.workers]
    session.progress.members = now
    pause = session.since_last_step()
    session.outbox.event(
        "generation", generation=membership.generation, workers=membership.size, reason=membership.reason,
        step=session.progress.step, members=_slots(now), joined=_slots(now, but=before), left=_slots(before, but=now),
        pause_seconds=pause if pause is not None else time.monotonic() - begun if membership.source is not None else None,
    )  # fmt: skip


def _slots(workers: Sequence[Sequence[int]], but: Sequence[Sequence[int]] = ()) -> list[int]:
    return [slot for slot, incarnation in workers if [slot, incarnation] not in but]
