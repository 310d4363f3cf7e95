"""The step itself, called with a two-layer model: no trainer, no job, no Ray."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gdist.data.batch import Batch
from gdist.engine.buffers import MovingBuffers
from gdist.engine.collective import Alone, Collective
from gdist.engine.control import Control
from gdist.engine.exact import ExactGradients
from gdist.engine.flat import FlatParameters
from gdist.engine.gradients import Gradients
from gdist.engine.plan import Pass, Plan
from gdist.engine.precision import Precision
from gdist.engine.probe import probe
from gdist.engine.recompute import recompute
from gdist.engine.step import StepResult, train_step
from gdist.engine.streams import Streams
from gdist.engine.update import Update
from gdist.errors import JobError, ReplicasDiffer
from gdist.task.task import Loss
from tests.engine.cases import CASES, CPU, make_engine
from tests.ranks import run_ranks


def _one_step(model: nn.Module, batch: Batch, *, exact: bool = False, clip: float | None = None) -> StepResult:
    flat = FlatParameters(list(model.named_parameters()))
    buffers = MovingBuffers(model, [n for n, _ in model.named_buffers()])
    control = Control(rank=0, size=1, micro_batches=3, parameters=len(flat.parameters))
    kind = ExactGradients if exact else Gradients
    return train_step(
        0,
        plan=Plan(batch.rows, batch_size=batch.rows, micro_batches=3),
        rank=0,
        size=1,
        load=lambda cut, share: batch.slice(share.start, share.stop),
        loss=lambda b: nn.functional.mse_loss(model(b.features), b.target),
        streams=Streams(0, CPU),
        precision=Precision("fp32", CPU),
        buffers=buffers,
        sums=kind(flat, Alone(), extra=buffers.layout, control=control.elements),
        control=control,
        update=Update(flat, torch.optim.SGD(model.parameters(), lr=0.1), clip_norm=clip),
    )


def _batch(rows: int = 7) -> Batch:
    generator = torch.Generator().manual_seed(rows)
    return Batch({"features": torch.randn(rows, 5, generator=generator), "target": torch.randn(rows, 2, generator=generator)})


@pytest.mark.parametrize("exact", [False, True])
def test_a_step_is_the_step_that_plain_torch_takes(exact: bool) -> None:
    model, plain = (nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)) for _ in range(2))
    plain.load_state_dict(model.state_dict())
    batch = _batch()
    loss = nn.functional.mse_loss(plain(batch.features), batch.target)
    loss.backward()
    torch.optim.SGD(plain.parameters(), lr=0.1).step()
    result = _one_step(model, batch, exact=exact)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert result.loss == pytest.approx(loss.item(), rel=1e-6)
    norm = torch.cat([p.grad.flatten() for p in plain.parameters() if p.grad is not None]).norm()
    assert result.grad_norm == pytest.approx(norm.item(), rel=1e-5)
    assert set(result.seconds) == {"data", "forward", "backward", "reduce", "update"}


def test_clipping_scales_the_whole_gradient_as_torch_does() -> None:
    model, plain = (nn.Linear(5, 2) for _ in range(2))
    plain.load_state_dict(model.state_dict())
    batch = _batch()
    nn.functional.mse_loss(plain(batch.features), batch.target).backward()
    nn.utils.clip_grad_norm_(plain.parameters(), 0.01)
    torch.optim.SGD(plain.parameters(), lr=0.1).step()
    assert _one_step(model, batch, clip=0.01).clipped
    torch.testing.assert_close(model.weight, plain.weight)


def test_running_statistics_move_by_the_mean_over_the_micro_batches() -> None:
    model = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 2))
    batch = _batch(9)
    _one_step(model, batch)
    means = torch.stack([batch.features[i : i + 3].mean(0) for i in (0, 3, 6)])
    torch.testing.assert_close(model[0].running_mean, 0.1 * means.mean(0))
    assert model[0].num_batches_tracked == 1


def test_an_exception_in_the_loss_leaves_everything_as_it_was() -> None:
    engine = make_engine(CASES["convolutional"])
    engine.join(Alone())
    engine.step(0)
    before = engine.replica.fingerprint()
    forward = engine.replica.module.outer.forward  # type: ignore[union-attr]
    calls = iter([True, True])

    def fails(x: torch.Tensor) -> torch.Tensor:
        if next(calls, None):
            return forward(x)  # type: ignore[no-any-return, operator]
        raise ValueError("third pass")

    engine.replica.module.outer.forward = fails  # type: ignore[union-attr, assignment]
    with pytest.raises(ValueError, match="third pass"):
        engine.step(1)
    assert engine.replica.fingerprint() == before


def _altered(collective: Collective) -> str:
    engine = make_engine(CASES["mlp"])
    engine.join(collective)
    engine.step(0, weights_hash=engine.replica.fingerprint())
    if collective.rank == 1:
        with torch.no_grad():
            next(engine.replica.module.parameters()).view(-1).view(torch.int64)[3] ^= 1  # one bit
    with pytest.raises(ReplicasDiffer) as caught:
        engine.step(1, weights_hash=engine.replica.fingerprint())
    return caught.value.what


def test_a_replica_with_one_changed_bit_is_named() -> None:
    assert set(run_ranks(_altered, 3)) == {"the weights of worker 1 are not the same bits as the others'"}


def _elsewhere(collective: Collective) -> str:
    engine = make_engine(CASES["mlp"])
    engine.join(collective)
    with pytest.raises(ReplicasDiffer) as caught:
        engine.step(5 if collective.rank == 2 else 4)
    return caught.value.what


def test_a_worker_at_another_step_is_named() -> None:
    found = run_ranks(_elsewhere, 3)
    assert found == [
        "worker 2 is at another step than worker 0: 5, not 4",
        "worker 2 is at another step than worker 1: 5, not 4",
        "worker 0 is at another step than worker 2: 4, not 5",
    ]


def test_workers_whose_weights_differ_are_named_by_the_numbers_that_users_know() -> None:
    cut, outs = Plan(4, batch_size=4, micro_batches=3).cut(0), []
    controls = [Control(rank=r, size=3, micro_batches=3, parameters=1, slots=(4, 0, 7)) for r in range(3)]
    for rank, control in enumerate(controls):
        control.open(cut, weights_hash=11 if rank == 2 else 10)
        outs.append(torch.zeros(control.elements))
        control.encode(outs[-1], has_gradient=[True], compute_s=0.5)
    with pytest.raises(ReplicasDiffer, match="the weights of worker 7 are not the same bits"):
        controls[0].decode(sum(outs))


def test_control_carries_doubles_through_float32() -> None:
    control = Control(rank=0, size=1, micro_batches=2, parameters=1)
    cut = Plan(4, batch_size=4, micro_batches=2).cut(0)
    control.open(cut, weights_hash=(1 << 64) - 12345)
    for i, mean in enumerate((0.1234567890123, 7e-9)):
        control.read(Pass(i, 1, 2 * i, 2 * i + 2), stamp=i, used=2, bad=0)
        control.note(Pass(i, 1, 2 * i, 2 * i + 2), mean=torch.tensor(mean, dtype=torch.float64), weight=2, log={})
    out = torch.zeros(control.elements)
    control.encode(out, has_gradient=[True], compute_s=0.5)
    assert control.decode(out).loss == pytest.approx((0.1234567890123 + 7e-9) / 2, rel=1e-12)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_its_micro_batch_and_no_other(value: float) -> None:
    control = Control(rank=0, size=1, micro_batches=2, parameters=1)
    control.open(Plan(4, batch_size=4, micro_batches=2).cut(0))
    for i, mean in enumerate((1.0, value)):
        control.read(Pass(i, 1, 2 * i, 2 * i + 2), stamp=i, used=2, bad=0)
        control.note(Pass(i, 1, 2 * i, 2 * i + 2), mean=torch.tensor(mean), weight=2, log={})
    out = torch.zeros(control.elements)
    control.encode(out, has_gradient=[True], compute_s=0.5)
    report = control.decode(out)
    assert report.non_finite == (1,)
    assert not np.isfinite(report.loss)


class _Moves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def test_a_parameter_moved_out_of_the_flat_memory_is_named() -> None:
    model = _Moves()
    flat = FlatParameters(list(model.named_parameters()))
    model.inner.weight.data = model.inner.weight.data.clone()
    with pytest.raises(JobError, match=r"parameter inner\.weight was moved") as caught:
        flat.check()
    assert caught.value.where == "module inner"


def _probe(model: nn.Module, loss: object = None) -> object:
    losses = {"train": loss or (lambda b: nn.functional.mse_loss(model(b.features), b.target))}
    return probe(model, losses, _batch(6), precision=Precision("fp32", CPU), streams=Streams(0, CPU))  # type: ignore[arg-type]


def test_the_probe_sees_what_forbids_merging_and_leaves_no_trace() -> None:
    plain, normed = nn.Linear(5, 2), nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 2))
    dropped = nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 2))
    before = torch.get_rng_state()
    assert _probe(plain).unmergeable is None  # type: ignore[attr-defined]
    assert _probe(normed).moving == ("0.num_batches_tracked", "0.running_mean", "0.running_var")  # type: ignore[attr-defined]
    assert "random numbers" in _probe(dropped).unmergeable  # type: ignore[attr-defined]
    coupled = _probe(plain, lambda b: Loss(plain(b.features).var(0).sum()))
    assert "couples the samples" in coupled.unmergeable  # type: ignore[attr-defined]
    assert torch.equal(torch.get_rng_state(), before)
    assert normed[0].num_batches_tracked == 0
    assert all(p.grad is None for p in normed.parameters())


def test_models_that_cannot_be_trained_are_refused_with_the_module() -> None:
    with pytest.raises(JobError, match="SyncBatchNorm") as caught:
        _probe(nn.Sequential(nn.SyncBatchNorm(5), nn.Linear(5, 2)))
    assert caught.value.where == "module 0"
    sparse = nn.Sequential(nn.Embedding(9, 2, sparse=True))
    with pytest.raises(JobError, match="sparse gradients") as caught:
        _probe(sparse, lambda b: sparse(torch.arange(4)).sum())
    assert caught.value.where == "parameter 0.weight"
    with pytest.raises(JobError, match="not a scalar"):
        _probe(nn.Linear(5, 2), lambda b: b.features)
    frozen = nn.Linear(5, 2).requires_grad_(False)
    with pytest.raises(JobError, match="does not depend on any trained parameter"):
        _probe(frozen)
    with pytest.raises(JobError, match="no module 'encodr'"):
        recompute(nn.ModuleDict({"encoder": nn.Linear(1, 1)}), ["encodr"])
