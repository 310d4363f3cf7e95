"""Several processes that open one corpus: one tokenizes, all map the same file; a killed one leaves nothing that counts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gdist.data.text import Text

OPEN = """
import sys, time
from pathlib import Path
import numpy as np
from gdist.data.text import Text, TrainTokenizer
folder = Path(sys.argv[1])
tokenizer = TrainTokenizer(vocabulary=400) if sys.argv[2] == "bpe" else sys.argv[2]
read = 0
def progress(done, all):
    global read
    read += 1
    if (folder / "hold").exists() and done > all / 2:
        (folder / "held").touch()
        time.sleep(60)
rows = Text(path=folder / "books", tokenizer=tokenizer, context=64).open(progress=progress)
batch = rows.take(np.arange(len(rows)))
print(rows.fingerprint(), int(batch.target.sum()), read)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "books").mkdir()
    for i in range(8):
        (tmp_path / "books" / f"{i}.txt").write_text(f"Chapter {i}. It was a dark and stormy night.\n" * 2000)
    return tmp_path


def start(folder: Path, tokenizer: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN, str(folder), tokenizer]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("tokenizer", "passes"), [("bytes", 1), ("characters", 2), ("bpe", 2)])
def test_one_process_tokenizes_and_all_have_the_same(folder: Path, cache: Path, tokenizer: str, passes: int) -> None:
    processes = [start(folder, tokenizer) for _ in range(4)]
    told = []
    for process in processes:
        out, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
        told.append(out.split())
    assert len({(fingerprint, total) for fingerprint, total, _ in told}) == 1
    assert sum(int(read) for _, _, read in told) == passes * 8, "pieces read, by all of them together"
    assert all(entry.suffix == ".cached" for entry in cache.iterdir())


def test_a_killed_process_leaves_nothing_that_counts(folder: Path, cache: Path) -> None:
    (folder / "hold").touch()
    process = start(folder, "bytes")
    until = time.monotonic() + 60
    while not (folder / "held").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert not [entry for entry in cache.iterdir() if entry.suffix == ".cached"], "it was half way"
    rows = Text(path=folder / "books", context=64).open()
    content = b"".join(file.read_bytes() for file in sorted((folder / "books").iterdir()))
    assert rows.tokens.tobytes() == content
    assert [entry.suffix for entry in cache.iterdir()] == [".cached"]


def test_importing_and_describing_load_nothing_heavy() -> None:
    script = (
        "import sys\nfrom gdist.data.text import *\nText(path='x.txt', tokenizer=TrainTokenizer()).describe()\n"
        "print(sorted({'torch', 'numpy', 'pyarrow', 'tokenizers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
