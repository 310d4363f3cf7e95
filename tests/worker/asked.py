"""Asking a trained run as any number of workers."""

from __future__ import annotations

from typing import Any

from gdist.data.tensors import Tensors
from gdist.engine.collective import Collective
from gdist.job.overrides import apply_overrides
from gdist.records import Membership, Order, Wishes
from gdist.run.ask import order_to
from gdist.worker.member import make_member
from tests.worker.jobs import JOBS, Trained, arrays


def other_data(*, target: bool = True) -> Tensors:
    """Rows that no run was trained on."""
    x, y = arrays(seed=7)
    return Tensors(features=x, target=y if target else None)


def ask(collective: Collective, purpose: str, name: str, run_dir: str, **asked: Any) -> Trained:
    """Evaluates the run of JOBS[name] in ``run_dir``, or predicts with it, as one worker of ``collective``'s generation."""
    order: Order = order_to(purpose, run_dir, job=apply_overrides(JOBS[name](), ()), force=True, **asked)  # type: ignore[arg-type]
    found = Trained()
    member = make_member(order, slot=collective.rank, send=found.send, wishes=Wishes())
    member.prepare()
    try:
        member.join(Membership(generation=1, rank=collective.rank, size=collective.size, run_dir=run_dir), collective)
        found.result = member.work()
    except Exception as error:
        found.error = error
    finally:
        member.close()
    return found
