"""Each test has a cache of its own, and a corpus of a few files."""

from __future__ import annotations

from pathlib import Path

import pytest

DOCUMENTS = {
    "a.txt": "In the beginning was the word.\nIt had four letters.\n",
    "b.txt": "Größe, 数, 🎈: three kinds of character\n",
    "deep/c.txt": "x" * 100,
    "empty.txt": "",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for name, text in DOCUMENTS.items():
        file = tmp_path / "corpus" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "corpus"
