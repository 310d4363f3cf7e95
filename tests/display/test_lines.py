"""What is printed line by line: plain, JSON, the summary, errors."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gdist.display.failure import print_error
from gdist.display.plain import PlainDisplay
from gdist.display.sentences import sentences
from gdist.display.standing import Standing
from gdist.display.summary import summary
from gdist.errors import GdistError, UsageError, UserCodeError
from gdist.records import Update
from gdist.run.folder import RunFolder
from tests.display.recorded import RUN, started

PLAIN = """\
digits in runs/digits: 37,770 parameters, 1,437 samples (360 to validate), 240 steps in 20 epochs
step 12/240  5%  epoch 1/20  loss 0.2000  gradient norm 1.23  lr 0.003  1,280 samples/s  2 workers  23 s left
step 12/240  training loss 0.6713  validation loss 0.4120  accuracy 0.9028
it is said
step 24/240  training loss 0.6713  validation loss 0.3981  accuracy 0.8972
"""


def test_plain_lines_are_few_and_the_last_evaluation_is_among_them() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    for update in RUN:
        display(update)
    display.say("it is said")
    display.close()
    display.close()
    assert stream.getvalue() == PLAIN


def test_what_user_code_prints_comes_through_as_it_is() -> None:
    stream = io.StringIO()
    PlainDisplay(stream)(Update(output=["epoch 1 [half]"]))
    assert stream.getvalue() == "epoch 1 [half]\n"


def test_a_reader_that_has_gone_away_does_not_end_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        for update in RUN:
            PlainDisplay(stream)(update)
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ({"event": "explained", "text": "a thing"}, "note: a thing"),
        ({"event": "skipped_step", "step": 9, "why": "the loss is not finite"}, "step 9 skipped: the loss is not finite"),
        ({"event": "checkpoint", "step": 9, "path": "x"}, None),
        ({"event": "generation", "generation": 1, "workers": 2, "reason": "start"}, None),
        ({"event": "something new"}, None),
    ],
)
def test_an_event_that_matters_is_one_line(event: dict[str, Any], line: str | None) -> None:
    assert sentences(event, Standing()) == ([] if line is None else [line])


def test_json_takes_standard_output_for_itself_and_gives_it_back() -> None:
    code = """
import os
from gdist.display.json_lines import JsonDisplay
from tests.display.recorded import RUN
display = JsonDisplay()
print("words of a job")
os.system("echo words of a library")
for update in RUN:
    display(update)
display.say("words of gdist")
display.close()
print("after")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    *lines, last = done.stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [each["event"] for each in events[:3]] == ["started", "generation", "step"]
    assert sum(each["event"] == "step" for each in events) == 24
    assert sum(each["event"] == "evaluation" for each in events) == 2
    assert last == "after"
    assert sorted(done.stderr.splitlines()) == ["words of a job", "words of a library", "words of gdist"]


def result(**other: Any) -> dict[str, Any]:
    return {
        "status": "done",
        "reason": "all steps taken",
        "steps": 240,
        "epochs": 20.0,
        "train": {"loss": 0.0213},
        "validation": {"loss": 0.0512, "accuracy": 0.8972},
        "wall_seconds": 72.4,
        "workers": 2,
        **other,
    }


@pytest.fixture
def standing() -> Standing:
    found = Standing()
    for update in RUN:
        found.take(update)
    return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create("runs", name="digits")
    folder.source.mkdir()
    return folder


def test_the_summary_has_losses_time_place_and_the_way_on(standing: Standing, run: RunFolder) -> None:
    assert (
        "\n".join(summary(result(run_dir=str(run.path)), standing))
        == """
digits is done: 240 steps, 20 epochs

  training loss    0.0213
  validation loss  0.0512   best 0.3981 in epoch 2
  accuracy         0.8972   best 0.9028 in epoch 1
  time             1m12s with 2 workers
  run folder       runs/digits
  to go on         gdist resume digits epochs=40"""
    )


def test_test_data_is_spoken_of_at_the_beginning_and_in_the_summary(standing: Standing, run: RunFolder) -> None:
    lines = summary(result(run_dir=str(run.path), test={"loss": 0.0621, "accuracy": 0.88}), standing)
    assert lines[6:8] == ["  test loss        0.0621", "  test accuracy    0.8800"]
    assert sentences(started(test_samples=180), Standing()) == [
        "digits in runs/digits: 37,770 parameters, 1,437 samples (360 to validate, 180 to test), 240 steps in 20 epochs"
    ]


def test_the_summary_of_a_stopped_run_says_why_and_from_where_it_goes_on(standing: Standing, run: RunFolder) -> None:
    stopped = result(status="stopped", reason="asked to end by SIGTERM", steps=24, epochs=2.0, run_dir=str(run.path))
    lines = summary(stopped, standing)
    assert lines[1:3] == [
        "digits was stopped: 24 of 240 steps, 2 epochs",
        "because: asked to end by SIGTERM",
    ]
    assert lines[-2:] == ["  checkpoint       none", "  to go on         gdist resume digits"]


def test_a_job_made_in_python_is_gone_on_with_in_python(standing: Standing, run: RunFolder) -> None:
    run.source.rmdir()
    last = summary(result(run_dir=str(run.path)), standing)[-1]
    assert last == '  to go on         train(job, resume="digits")  (the job was made in Python)'


def test_a_run_that_never_began_has_no_numbers() -> None:
    stopped = {"status": "stopped", "reason": "interrupted", "steps": 0}
    assert summary(stopped, Standing()) == ["", "the run was interrupted before its first step"]


def printed(error: BaseException, **how: Any) -> str:
    stream = io.StringIO()
    print_error(error, stream=stream, **how)
    return stream.getvalue()


def test_an_error_has_four_parts_and_the_last_line_is_what_to_do() -> None:
    error = UsageError("what", where="place", note="one\ntwo", help="mend")
    assert printed(error, next_step="go on") == ("error: what\n  --> place\nnote: one\n      two\nhelp: mend\nhelp: go on\n")


def test_an_exception_in_user_code_is_shown_once_with_its_own_frames_where_there_are_several() -> None:
    frames = '  File "a.py", line 1, in f\n    g()\n  File "a.py", line 2, in g\n    1 / 0\nZeroDivisionError: division by zero'
    error = UserCodeError("it failed", where="a.py:2 in g", note="ZeroDivisionError: division by zero", traceback=frames)
    text = printed(error)
    assert text.count("ZeroDivisionError") == 1
    assert text.splitlines()[2].strip() == 'File "a.py", line 1, in f'


def test_a_mistake_of_gdists_is_one_line_and_a_traceback_only_where_asked() -> None:
    assert printed(KeyError("x")) == (
        "error: gdist itself failed: KeyError: 'x'\nhelp: this is a mistake in gdist; the same command with -v shows where\n"
    )
    assert "KeyError: 'x'" in printed(KeyError("x"), verbose=True).splitlines()[1]


def test_no_colour_where_nobody_can_see_it_and_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    print_error(GdistError("what"), stream=stream)
    assert "\x1b[" in stream.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    print_error(GdistError("what"), stream=stream)
    assert stream.getvalue() == "error: what\n"
