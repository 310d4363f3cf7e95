"""Every fault in every phase of a worker's life: who is lost is replaced, and the run is the quiet one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker import live_jobs
from tests.worker.live import Live
from tests.worker.test_live import quiet, require_as_quiet

PHASES = {  # of a worker's life: the job that goes through it, and when
    **dict.fromkeys(["prepare", "form_begin", "form_connected", "group_formed"], ("normed", "")),
    **dict.fromkeys(["connected", "handover", "level", "entered"], ("normed", ":generation=1")),
    **dict.fromkeys(["learn", "learned_share"], ("table", "")),
    **dict.fromkeys(["step_begin", "before_reduce", "after_reduce", "after_update", "boundary"], ("gan", ":step=5")),
    **dict.fromkeys(["evaluate", "checkpoint"], ("normed", ":step=6")),
    **dict.fromkeys(["best", "flush", "restore", "conclude", "test"], ("best", "")),
}
KINDS = ("kill", "stop", "raise")
VICTIMS = ((0,), (2,), (0, 1), (0, 1, 2))  # of three workers

Case = tuple[str, str, tuple[int, ...]]
met: set[Case] = set()


def cases() -> Iterator[Case]:
    """Each kind in each phase; of the victims two sets for a kill, one for the others, in turn: all of them in minutes."""
    for i, phase in enumerate(PHASES):
        yield phase, "kill", VICTIMS[i % 4]
        yield phase, "kill", VICTIMS[(i + 2) % 4]
        yield phase, "stop", VICTIMS[(i + 1) % 4]
        yield phase, "raise", VICTIMS[i % 2]


def table() -> str:
    """Kinds of fault by phase: which workers met it."""
    lines = [f"{'phase':16s}" + "".join(f"{kind:20s}" for kind in KINDS)]
    for phase in PHASES:
        cells = [sorted(victims for where, what, victims in met if (where, what) == (phase, kind)) for kind in KINDS]
        lines.append(f"{phase:16s}" + "".join(f"{' '.join('+'.join(map(str, each)) for each in cell):20s}" for cell in cells))
    return "\n".join(line.rstrip() for line in lines)


@pytest.mark.long
@pytest.mark.parametrize(("phase", "kind", "victims"), list(cases()))
def test_every_fault_in_every_phase(phase: str, kind: str, victims: tuple[int, ...], tmp_path: Path) -> None:
    """Who is killed or stopped there is replaced, and the run is the quiet one, but for steps done again where all were lost;
    who raises ends the run with that error."""
    job, when = PHASES[phase]
    words = []
    if job == "table":
        live_jobs.write_table(tmp_path / "table.parquet", seed=7)
        words = [f"data.path={tmp_path}/table.parquet"]
    faults = {slot: f"{phase}:{kind}{when}" for slot in victims}
    run = Live(job, tmp_path, *words, workers=3, hires=True, faults=faults)
    if kind == "stop":
        run.until(lambda: not run.silent(), "the workers' stop")
        run.kill(*victims)
    run.until(lambda: run.end is not None, "the run's end")
    run.close()
    if kind == "raise":
        assert f"injected at {phase}" in str(run.error)
    else:
        assert not run.silent()
        assert run.result is not None, run.error
        still = quiet(run.job, *run.overrides)
        assert still.result is not None
        assert run.result["weights_sha256"] == still.result["weights_sha256"]
        if len(victims) < 3:
            require_as_quiet(run)
    met.add((phase, kind, victims))


@pytest.mark.long
def test_each_kind_of_fault_met_each_phase() -> None:
    """Counts only what fired and was survived, or ended the run as it should."""
    if len(met) < len(set(cases())):
        pytest.skip(f"only where all of this file runs\n{table()}")
    print(table())  # noqa: T201
    assert {(phase, kind) for phase, kind, _ in met} == {(phase, kind) for phase in PHASES for kind in KINDS}
