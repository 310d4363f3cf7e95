"""A job file gives its job, or an error that shows the user's own line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdist.errors import DataError, JobError, UsageError
from gdist.job.load import load_job

HEAD = """\
import numpy as np
from torch import nn
from gdist.job import Job

"""
BODY = """\
def network(width: int = 4):
    return nn.Linear(3, width)

job = Job(model=network, loss="mse", data=(np.zeros((4, 3)), np.zeros(4)), epochs=2)
"""


@pytest.fixture(autouse=True)
def same_interpreter_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]


def write(text: str, name: str = "x.py", folder: str = "jobs") -> Path:
    path = Path(folder) / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def failure(text: str) -> JobError:
    with pytest.raises(JobError) as caught:
        load_job(write(text))
    return caught.value


def test_a_file_gives_its_job_with_the_words_applied() -> None:
    assert load_job(write(HEAD + BODY), overrides=["epochs=7", "model.width=9"]).epochs == 7
    with pytest.raises(UsageError, match="unknown field `epocs`"):
        load_job("jobs/x.py", overrides=["epocs=7"])


def test_a_file_changed_within_the_same_second_and_size_is_read_anew() -> None:
    path = write(HEAD + BODY)
    assert load_job(path).epochs == 2
    path.write_text((HEAD + BODY).replace("epochs=2", "epochs=3"))
    assert load_job(path).epochs == 3


def test_neighbours_are_imported_from_the_file_s_own_folder_even_after_another_s() -> None:
    for folder, width in (("one", 5), ("two", 6)):
        write(f"WIDTH = {width}\n", "neighbour.py", folder)
        write(HEAD + "from neighbour import WIDTH\n" + BODY.replace("epochs=2", "epochs=WIDTH"), "x.py", folder)
    assert load_job("one/x.py").epochs == 5
    assert load_job("two/x.py").epochs == 6
    assert load_job("one/x.py").epochs == 5


def test_a_file_named_like_a_library_takes_nothing_s_place() -> None:
    import json

    load_job(write(HEAD + BODY, "json.py"))
    assert sys.modules["json"] is json


def test_a_syntax_error_is_shown_with_its_line() -> None:
    error = failure(HEAD + "job = Job(model=\n")
    assert error.what == "jobs/x.py is not valid Python: '(' was never closed"
    assert error.where == "jobs/x.py:5:  job = Job(model="


def test_a_wrong_field_is_shown_with_its_line() -> None:
    error = failure(HEAD + BODY.replace("epochs=2", "\n          epochs=-2"))
    assert error.what == "`epochs` must be a whole number >= 1 or None, not -2"
    assert error.where == "jobs/x.py:9:  epochs=-2)"


def test_wrong_data_keeps_its_kind() -> None:
    assert isinstance(failure(HEAD + BODY.replace("np.zeros(4)", "np.zeros(5)")), DataError)


def test_an_exception_in_the_file_is_shown_where_it_was_raised() -> None:
    error = failure(HEAD + "def halve(n):\n    return n / 0\n\nhalve(3)\n" + BODY)
    assert error.what == "jobs/x.py failed while it was loaded"
    assert error.where == "jobs/x.py:6 in halve:  return n / 0"
    assert error.note == "ZeroDivisionError: division by zero"


def test_an_exception_inside_a_library_is_shown_at_the_line_that_called_it() -> None:
    error = failure(HEAD + "np.zeros(-1)\n" + BODY)
    assert error.where == "jobs/x.py:5:  np.zeros(-1)"
    assert error.note == "ValueError: negative dimensions are not allowed"


def test_a_missing_package_is_named_with_the_mend() -> None:
    error = failure("import no_such_package\n" + HEAD + BODY)
    assert error.note == "ModuleNotFoundError: No module named 'no_such_package'"
    assert error.help == "is no_such_package installed here? pip install no_such_package"


def test_a_mistake_in_a_neighbour_is_shown_there() -> None:
    write("VALUE = {}['missing']\n", "beside.py")
    error = failure(HEAD + "import beside\n" + BODY)
    assert error.where == "jobs/beside.py:1:  VALUE = {}['missing']"
    write("def broken(:\n", "torn.py")
    error = failure(HEAD + "import torn\n" + BODY)
    assert error.what == "jobs/torn.py is not valid Python: invalid syntax"
    assert error.where == "jobs/torn.py:1:  def broken(:"


def test_a_file_that_exits_is_no_end_of_gdist() -> None:
    error = failure(HEAD + "raise SystemExit(3)\n")
    assert error.what == "jobs/x.py ended the program while it was loaded"


def test_a_file_without_a_job_is_said_to_have_none() -> None:
    assert failure(HEAD).what == "jobs/x.py defines no `job`"
    assert failure(HEAD + BODY.replace("job =", "mine =")).help == "call it job: job = mine"
    assert failure("def job(): ...\n").what == "`job` in jobs/x.py is a function, not a Job"
    assert failure("job = {}\n").what == "`job` in jobs/x.py is a dict, not a Job"


def test_a_path_that_is_no_job_file_is_answered_with_those_there_are() -> None:
    write(HEAD + BODY)
    for path, what in (
        ("jobs/y.py", "there is no job file jobs/y.py"),
        ("jobs", "jobs is a folder, not a job file"),
        ("jobs/x.txt", "jobs/x.txt is no job file"),
    ):
        with pytest.raises(JobError) as caught:
            load_job(path)
        assert caught.value.what == what
        assert "x.py" in str(caught.value.help) or path.endswith(".txt")
