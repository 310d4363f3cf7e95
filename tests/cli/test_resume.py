"""``gdist resume``: what is refused and why, and who may go on with a run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gdist.run.folder import RunFolder
from gdist.run.resume import check_changes, check_end, joined
from tests.cli.command import Gdist, result_of, write_job

MEND = "help: leave it as it was, or begin a new run with it: gdist train JOB; init_from=RUN takes the weights along; or go on "


@pytest.fixture(scope="module")
def trained(gdist: Gdist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a complete run, ``tiny``."""
    folder = tmp_path_factory.mktemp("trained")
    write_job(folder)
    assert gdist("train", "tiny.py", "--local", cwd=folder).returncode == 0
    (folder / "tiny.py").unlink()  # the run has its own copy
    return folder


def refused(gdist: Gdist, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A resume that must be refused and leave the run as it was."""
    before = result_of(folder / "runs" / "tiny")
    ended = gdist("resume", *words, "--local", cwd=folder)
    assert ended.stdout in ("", "hello from the job file\n")
    assert result_of(folder / "runs" / "tiny") == before
    return ended


def test_a_complete_run_says_so_and_how_to_go_further(gdist: Gdist, trained: Path) -> None:
    ended = refused(gdist, trained, "tiny")
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: run `tiny` is complete: it has taken 15 steps, 3 epochs\nhelp: to go further: gdist resume tiny epochs=6\n"
    )


def test_an_end_that_lies_behind_is_refused(gdist: Gdist, trained: Path) -> None:
    ended = refused(gdist, trained, "tiny", "epochs=2")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: epochs=2 lies behind: run `tiny` has taken 15 steps, 3 epochs\n")


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("model.width=8", "the saved weights are those of the model it had"),
        ("batch_size=16", "the saved step counts batches of the size it had (it is 32)"),
        ("micro_batches=2", "how a step is cut is part of the mathematics that the saved state comes from (it is 4)"),
        ("seed=1", "the order of the samples and all random numbers follow from it (it is 0)"),
        ("exact=false", "the bits of the saved state come from the mode it had (it is True)"),
        ("precision=bf16", "the saved state is in the precision it had (it is fp32)"),
        ("validation=0.3", "which rows are held out follows from it: rows that were trained on would validate (it is 0.2)"),
    ],
)
def test_what_would_take_the_saved_states_meaning_is_refused_with_why(gdist: Gdist, trained: Path, word: str, why: str) -> None:
    field = word.partition("=")[0].partition(".")[0]
    ended = refused(gdist, trained, "tiny", word, "epochs=9")
    assert ended.returncode == 2
    what = f"error: `{field}` cannot change in the middle of a run\n  --> command line: {word}\nnote: {why}\n"
    assert ended.stderr == what + MEND + f"with what still fits: --accept {field}\n"


def test_a_wrong_override_leaves_the_run_as_it_was(gdist: Gdist, trained: Path) -> None:
    ended = refused(gdist, trained, "tiny", "epochs=9", "optimizer.learning_rate=1")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: unknown field `optimizer.learning_rate`\n")


def test_a_run_that_another_process_trains_is_refused(gdist: Gdist, trained: Path) -> None:
    run = RunFolder(trained / "runs" / "tiny")
    run.hold()
    try:
        ended = refused(gdist, trained, "@", "epochs=9")
    finally:
        run.let_go()
    assert ended.returncode == 2
    what, where, note, mend = ended.stderr.splitlines()
    assert (what, where) == ("error: run `tiny` is being trained right now", "  --> runs/tiny")
    assert note.startswith("note: by process ")
    assert mend == "help: wait for its end, or end it with Ctrl-C where it was started"


def test_a_copy_of_the_job_that_was_changed_is_refused(gdist: Gdist, trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", trained / "runs" / "tiny", copy], check=True)
    with (copy / "source" / "tiny.py").open("a") as file:
        file.write("\n# a small change\n")
    ended = gdist("resume", str(copy), "--local", "epochs=9", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: the run's copy of `tiny.py` was changed since the run began\n")


def test_an_unknown_run_ends_with_5_and_the_nearest_name(gdist: Gdist, trained: Path) -> None:
    ended = refused(gdist, trained, "tyny")
    assert ended.returncode == 5
    assert ended.stderr == "error: no run `tyny`\n  --> runs\nhelp: did you mean `tiny`?\n"


def test_an_override_that_says_what_the_job_says_is_let_through() -> None:
    check_changes(
        {"batch_size": 32, "exact": True, "model_args": {"width": 8}}, ["batch_size=32", "exact=true", "model.width=8"]
    )


def test_a_run_that_was_killed_or_stopped_is_never_complete() -> None:
    check_end({}, run="r", result=None, steps=15, steps_per_epoch=5)
    check_end({}, run="r", result={"status": "stopped"}, steps=15, steps_per_epoch=5)


def test_a_run_that_its_own_rule_has_ended_goes_on_where_the_rule_is_loosened() -> None:
    result = {"status": "done", "reason": "validation.loss has not improved for 3 evaluations"}
    check_end({"stop.patience": 9}, run="r", result=result, steps=15, steps_per_epoch=5)
    with pytest.raises(Exception, match=r"complete: validation\.loss has not improved"):
        check_end({"optimizer.lr": 1}, run="r", result=result, steps=15, steps_per_epoch=5)


@pytest.mark.parametrize(
    ("before", "new", "after"),
    [
        (["epochs=3"], ["epochs=9"], ["epochs=9"]),
        (["epochs=3", "clip.norm=1"], ["steps=90"], ["clip.norm=1", "steps=90"]),
        (["optimizer=adam", "optimizer.eps=1e-9"], ["optimizer=sgd"], ["optimizer=sgd"]),
        (["optimizer.lr=1", "optimizer.eps=2"], ["optimizer.lr=3"], ["optimizer.eps=2", "optimizer.lr=3"]),
        (["model.width=3"], ["name=x"], ["model.width=3", "name=x"]),
    ],
)
def test_new_overrides_take_the_place_of_those_they_contradict(before: list[str], new: list[str], after: list[str]) -> None:
    assert joined(before, new) == tuple(after)
