"""A model of text, trained, validated on other files and evaluated: one vocabulary for all, learned from the training data."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

import gdist
from gdist.data.facts import DataFacts
from gdist.data.text import Text
from gdist.errors import DataError


def bigrams(data: DataFacts) -> nn.Module:
    """The scores of the next token, by the last one alone."""
    assert data.classes is not None
    return nn.Embedding(data.classes, data.classes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "cache"))
    (tmp_path / "train.txt").write_text("abcdefgh" * 300)
    (tmp_path / "other.txt").write_text("efgh" * 50)  # by a vocabulary of its own, it would be other numbers
    return tmp_path


def job_of(folder: Path, *, tokenizer: str = "characters") -> gdist.Job:
    data, other = (Text(path=folder / f"{name}.txt", tokenizer=tokenizer, context=8) for name in ("train", "other"))
    optimizer = gdist.Adam(lr=0.1)
    return gdist.Job(
        model=bigrams, loss="cross_entropy", data=data, validation=other, optimizer=optimizer, epochs=4, batch_size=8
    )


def test_the_validation_data_is_read_by_the_training_data_s_vocabulary(folder: Path) -> None:
    result = gdist.train(job_of(folder), local=True, show=False, runs=folder / "runs")
    assert result.validation is not None
    assert result.train["loss"] < 0.2, "each character but one follows from the one before it"
    # All pairs of the other text but one of four (h, e) were seen: three quarters of it are as easy as the training text.
    assert 0.5 < result.validation["loss"] < 4
    assert result.model_state()["weight"].shape == (8, 8)
    job, run = job_of(folder), result.path
    evaluated = gdist.evaluate(run, job=job, data=str(folder / "other.txt"), local=True, show=False)
    assert evaluated["loss"] == pytest.approx(result.validation["loss"], rel=1e-5)


def test_a_character_that_only_the_validation_data_has_is_an_error(folder: Path) -> None:
    (folder / "other.txt").write_text("efgh" * 50 + "z")
    with pytest.raises(DataError, match=r"character 'z' is not in the vocabulary[^$]*other.txt, byte 200"):
        gdist.train(job_of(folder), local=True, show=False, runs=folder / "runs")
