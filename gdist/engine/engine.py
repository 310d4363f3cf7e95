"""A task's phases, made ready for one generation: the whole step that a worker repeats.

engine = Engine(replica, phases, ...)      once a run
engine.join(collective, generation=1)      once a generation
engine.step(n)                             ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from gdist.data.read_ahead import Span
from gdist.engine.batches import Batches, Load, Transform
from gdist.engine.buffers import MovingBuffers
from gdist.engine.collective import Collective
from gdist.engine.control import Control
from gdist.engine.exact import ExactGradients
from gdist.engine.gather import GatherSums, gather_step
from gdist.engine.gradients import Gradients
from gdist.engine.parts import DescendPart, GatherPart, Part, merged
from gdist.engine.plan import Pass, Plan
from gdist.engine.precision import Precision
from gdist.engine.replica import Replica
from gdist.engine.step import At, StepResult, Sums, nobody, train_step
from gdist.engine.streams import Streams
from gdist.engine.transaction import Transaction
from gdist.errors import JobError


class Engine:
    """One worker's share of every step of a run. ``load(epoch, start, stop)`` gives samples, ``transform`` changes them;
    ``moving``: the buffers that forward changes; ``exact``: sums along the fixed tree."""

    def __init__(
        self,
        replica: Replica,
        parts: Sequence[Part],
        *,
        plan: Plan,
        load: Load,
        transform: Transform | None = None,
        precision: Precision,
        device: torch.device,
        seed: int = 0,
        exact: bool = False,
        moving: Sequence[str] = (),
        digest: int = 0,
    ) -> None:
        self.replica = replica
        self.plan = plan
        self.collective: Collective | None = None
        self._parts = parts
        self.batches = Batches(
            load, transform=transform, seed=seed, device=device, several=len(parts) > 1, least_rows=plan.least_rows
        )
        self.at: At = nobody
        self._precision = precision
        self._streams = Streams(seed, device)
        self._seed = seed
        self._exact = exact
        self._digest = digest
        self._buffers = MovingBuffers(replica.module, moving)
        self._unmerged = plan.unmerged()
        self._transaction = Transaction(replica) if len(parts) > 1 else None
        self._runs: list[Callable[..., StepResult]] = []
        self._sums: list[Sums] = []
        self._controls: list[Control] = []

    def join(self, collective: Collective, *, generation: int = 1, skip: Sequence[tuple[int, int, int]] = ()) -> None:
        """Takes a place in a generation; raises JobError where it has more workers than micro-batches. ``skip``: (step from 1,
        first, one past the last) of micro-batches whose rows count as bad."""
        if collective.size > self.plan.micro_batches:
            raise JobError(
                f"{collective.size} workers cannot share {self.plan.micro_batches} micro-batches",
                where=f"micro_batches={self.plan.micro_batches}",
                help=f"use at most {self.plan.micro_batches} workers, or set micro_batches (it is part of the mathematics)",
            )
        self.leave()
        self.collective = collective
        self.batches.forget()
        self.batches.left_out = frozenset((step - 1, i) for step, first, stop in skip for i in range(first, stop))
        self._runs = [self._ready(n, part, collective, generation) for n, part in enumerate(self._parts)]

    def leave(self) -> None:
        """Ends the generation for this worker."""
        for sums in self._sums:
            sums.close()
        self._sums = []
        self._runs = []
        self._controls = []
        if self.collective is not None:
            self.collective.close()
            self.collective = None

    def step(self, step: int, *, wishes: int = 0, weights_hash: int | None = None, next_generation: int = 0) -> StepResult:
        """All phases of step ``step``; all of its changes are made, or none."""
        told = {"wishes": wishes, "weights_hash": weights_hash, "next_generation": next_generation}
        if self._transaction is None:
            return self._step(step, told)
        with self._transaction.open() as take_back:
            result = self._step(step, told)
            if result.skipped:  # one of several updates could not be made: none is; but the loss scale has learned
                scale = self._precision.state()
                take_back()
                self._precision.load_state(scale)
            return result

    @property
    def is_torn(self) -> bool:
        """Whether a step that raised may have changed a part of the state and not the rest: an update was broken off."""
        return self._transaction is None and any(control.decoded for control in self._controls)

    def spans(self, step: int, *, rank: int, size: int) -> list[Span]:
        """What worker ``rank`` of ``size`` loads in step ``step``, in its order: (epoch, first position, one past the last)."""
        cut = self.plan.cut(step)
        found: dict[tuple[int, int], Pass] = {}
        for part in self._parts:  # phases share what they load alike
            plan = self._unmerged if isinstance(part, GatherPart) else self.plan
            for share in plan.passes(cut, rank=rank, size=size):
                found.setdefault((share.start, share.stop), share)
        return [span for share in found.values() for span in self.batches.spans(cut, share)]

    def _step(self, step: int, told: dict[str, int | None]) -> StepResult:
        for control in self._controls:
            control.decoded = False
        try:
            results: list[StepResult] = []
            for run in self._runs:
                results.append(run(step, **told))
                if results[-1].skipped:  # all workers see the same verdict
                    break
        except BaseException:
            self._buffers.rewind()
            for parameter in self.replica.module.parameters():
                parameter.grad = None
            raise
        return results[0] if len(results) == 1 else merged(results, [part.phase.name for part in self._parts])

    def _ready(self, number: int, part: Part, collective: Collective, generation: int) -> Callable[..., StepResult]:
        place = {"rank": collective.rank, "size": collective.size}
        trained = len(part.parameters.parameters) if isinstance(part, DescendPart) else 0
        control = Control(
            **place, micro_batches=self.plan.micro_batches, parameters=trained, generation=generation, plan=self._digest,
            slots=collective.slots,
        )  # fmt: skip
        self._controls.append(control)
        if isinstance(part, GatherPart):
            gathered = GatherSums(part.like, collective, control=control.elements, merge=part.phase.merge)

            def gather(step: int, **told: Any) -> StepResult:
                return gather_step(
                    step, phase=part.phase, module=self.replica.module, number=number, plan=self._unmerged, **place,
                    load=self.batches.load, streams=self._streams, seed=self._seed, sums=gathered, control=control, at=self.at,
                    **told,
                )  # fmt: skip

            return gather
        part.parameters.check()
        kind = ExactGradients if self._exact else Gradients
        only = part.parameters.parameters if part.phase.parameters is not None else None
        sums = kind(part.parameters, collective, extra=self._buffers.layout, control=control.elements, only=only)
        self._sums.append(sums)

        def descend(step: int, **told: Any) -> StepResult:
            return train_step(
                step, plan=self.plan, **place, load=self.batches.load, loss=part.phase.loss, streams=self._streams,
                precision=self._precision, buffers=self._buffers, sums=sums, control=control, update=part.update,
                phase=number, at=self.at, **told,
            )  # fmt: skip

        return descend
