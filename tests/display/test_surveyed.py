"""What ``gdist data`` prints of names and values that a file may hold."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gdist.cli import main


def test_names_and_values_do_not_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table({"\x1b[31mred": ["\x1b[2J", "\x00"], "größe\nx": ["数", "\u202e"]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert main(["data", str(tmp_path / "a.parquet")]) == 0
    said = capsys.readouterr().out
    assert all(each.isprintable() or each == "\n" for each in said)
    assert r"\x1b[31mred" in said
    assert "größe\\nx" in said
    assert "数" in said
