"""``gdist evaluate`` and ``gdist predict`` as a user runs them: what is printed where, exit codes, what is left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from gdist.run.model import read_model
from tests.cli.command import TINY, Gdist, result_of, write_job

# In its first pass in eval mode, where DO says so, the model interrupts its process: once, or twice.
INTERRUPTED = TINY.replace("nn.Dropout(0.1)", "Interrupting()").replace(
    "class At(",
    """class Interrupting(nn.Module):
    done = False

    def forward(self, x):
        for _ in range({"once": 1, "twice": 2}.get(os.environ["DO"], 0) * (not self.training and not self.done)):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.8)  # longer than a round, after which a wish to end is heard
        self.done = self.done or not self.training
        return x


class At(""",
)
TABLE = """
from torch import nn

from gdist import Job, Parquet

job = Job(
    model=lambda: nn.Linear(2, 3),
    loss="cross_entropy",
    data=Parquet(path="train.parquet", features=["a", "b"], target="kind"),
    validation=0.2,
    epochs=2,
    batch_size=16,
)
"""


@pytest.fixture(scope="module")
def trained(gdist: Gdist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of three jobs: tiny, interrupted, table."""
    folder = tmp_path_factory.mktemp("trained")
    write_job(folder)
    write_job(folder, INTERRUPTED, name="interrupted.py")
    write_job(folder, TABLE, name="table.py")
    a, b = torch.randn(2, 100, generator=torch.Generator().manual_seed(0)).tolist()
    kind = [int(x > 0) + int(y > 0) for x, y in zip(a, b, strict=True)]
    pq.write_table(pa.table({"a": a, "b": b, "kind": kind}), folder / "train.parquet")
    pq.write_table(pa.table({"name": [f"n{i}" for i in range(100)], "b": b, "a": a}), folder / "new.parquet", row_group_size=7)
    for job in ("tiny.py", "interrupted.py", "table.py"):
        ended = gdist("train", job, "--local", cwd=folder)
        assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def left(folder: Path) -> set[str]:
    """What a command has left in ``folder``."""
    known = {"runs", "__pycache__", "tiny.py", "interrupted.py", "table.py", "train.parquet", "new.parquet", ".cache"}
    return {path.name for path in folder.iterdir()} - known - {".stdin", ".stdout", ".stderr"}


def test_evaluate_prints_what_training_found(gdist: Gdist, folder: Path) -> None:
    ended = gdist("evaluate", "tiny", "--local", cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[:2] == ["hello from the job file", "tiny by model.safetensors, on the validation rows: 40 rows"]
    found = result_of(folder / "runs" / "tiny")["validation"]
    assert lines[lines.index("tiny was evaluated") + 2 :][:4] == [
        f"  loss             {found['loss']:.4f}",
        f"  accuracy         {found['accuracy']:.4f}",
        "  rows             40, the validation rows",
        "  weights          model.safetensors",
    ]


def test_evaluate_as_json_ends_with_the_values(gdist: Gdist, folder: Path) -> None:
    ended = gdist("evaluate", "tiny", "--local", "--json", "--metrics", "f1", cwd=folder)
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [event["event"] for event in events] == ["opened", "progress", "finished"]
    assert set(events[-1]["metrics"]) == {"loss", "f1"}
    assert events[-1]["metrics"]["loss"] == result_of(folder / "runs" / "tiny")["validation"]["loss"]
    assert (events[-1]["rows"], events[-1]["bad"]) == (40, 0)


def test_predict_reads_another_file_that_has_no_target_and_keeps_its_columns(gdist: Gdist, folder: Path) -> None:
    ended = gdist("predict", "table", "--data", "new.parquet", "--out", "p.parquet", "--keep", "name", "--local", cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "table wrote p.parquet\n\n  rows             100, of new.parquet\n" in ended.stdout
    table, new = pq.read_table(folder / "p.parquet"), pq.read_table(folder / "new.parquet")
    assert table.column_names == ["row", "prediction", "probability", "name"]
    assert table["name"] == new["name"]
    model = nn.Linear(2, 3)
    model.load_state_dict(read_model(folder / "runs" / "table"))
    outputs = model(torch.tensor([new["a"].to_pylist(), new["b"].to_pylist()]).T)
    assert table["prediction"].to_pylist() == outputs.argmax(1).tolist()
    assert left(folder) == {"p.parquet"}


def test_an_override_of_the_path_is_as_good(gdist: Gdist, folder: Path) -> None:
    for how in (["--data", "train.parquet"], ["data.path=train.parquet"]):
        ended = gdist("evaluate", "table", *how, "--local", "--json", cwd=folder)
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout.splitlines()[-1])["rows"] == 100


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["evaluate", "table", "--data", "new.parquet"], 2, "no column `kind`, which the job names for `target`"),
        (["evaluate", "tiny", "--data", "new.parquet"], 2, "the job's data is Tensors, which has no path to replace"),
        (["evaluate", "tinny"], 5, "did you mean `tiny`?"),
        (["evaluate", "tiny", "validation=0.5"], 2, "`validation` cannot change in the middle of a run"),
        (["evaluate", "tiny", "--metrics", "acuracy"], 2, "did you mean 'accuracy'?"),
        (["evaluate", "tiny", "--checkpoint", "best"], 2, "run `tiny` has no checkpoint `best`"),
        (["predict", "table"], 2, "missing option '--out'"),
        (["predict", "table", "--data", "no.parquet", "--out", "p.csv"], 2, "no.parquet"),
        (["predict", "table", "--data", "new.parquet", "--out", "new.parquet"], 2, "write over it: --force"),
        (["predict", "table", "--data", "new.parquet", "--out", "p.csv", "--keep", "nam"], 2, "did you mean `name`?"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_left(words: list[str], code: int, says: str, gdist: Gdist, folder: Path) -> None:
    before = (folder / "new.parquet").read_bytes()
    ended = gdist(*words, "--local", cwd=folder)
    assert ended.returncode == code, ended.stderr
    assert says in ended.stderr
    assert (folder / "new.parquet").read_bytes() == before
    assert left(folder) == set()


def test_ctrl_c_ends_it_with_3_and_twice_with_130_and_nothing_is_left(gdist: Gdist, folder: Path) -> None:
    once = gdist("predict", "interrupted", "--out", "p.parquet", "--local", cwd=folder, do="once")
    assert (once.returncode, once.stderr) == (3, "")
    assert once.stdout.endswith("interrupted; nothing was written\n")
    assert left(folder) == set()
    twice = gdist("predict", "interrupted", "--out", "p.parquet", "--local", cwd=folder, do="twice")
    assert (twice.returncode, twice.stderr) == (130, "error: interrupted\n")
    assert left(folder) == set()
    done = gdist("predict", "interrupted", "--out", "p.parquet", "--local", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert left(folder) == {"p.parquet"}
