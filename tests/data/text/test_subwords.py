"""Subwords: the same tokens as the library gives by itself, learned the same each time, and errors that say the mend."""

from __future__ import annotations

import json
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from gdist.data.text import Text, TrainTokenizer, subwords
from gdist.errors import DataError, JobError

STORIES = [f"The {animal} said: 'I don't see the {thing}, número {n}!'\n\tAnd it left.\n" for n, (animal, thing) in
           enumerate([("fox", "grapes"), ("狐", "葡萄"), ("crow", "cheese 🧀"), ("ant", "winter")] * 5)]  # fmt: skip


@pytest.fixture
def stories(tmp_path: Path) -> Path:
    (tmp_path / "stories").mkdir()
    for i, story in enumerate(STORIES):
        (tmp_path / "stories" / f"{i:02}.txt").write_text(story, newline="")
    return tmp_path / "stories"


@pytest.fixture
def saved(stories: Path, tmp_path: Path) -> Path:
    """A tokenizer's file, with the truncation and padding that some come with."""
    tokenizer = tokenizers.Tokenizer.from_str(
        Text(path=stories, tokenizer=TrainTokenizer(vocabulary=300), context=4).open().state()["tokenizer"]["json"]
    )
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def encoded(path: Path, texts: list[str]) -> list[list[int]]:
    """By the library alone."""
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def test_tokens_are_the_library_s_with_the_end_after_each_document(stories: Path, saved: Path) -> None:
    rows = Text(path=stories, tokenizer=saved, context=4).open()
    end = tokenizers.Tokenizer.from_file(str(saved)).token_to_id("<|endoftext|>")
    assert rows.tokens.tolist() == list(chain(*([*ids, end] for ids in encoded(saved, STORIES))))
    assert rows.tokenizer.vocabulary == 300
    assert rows.tokens.dtype == np.uint16
    assert rows.decode(rows.tokens) == "".join(story + "<|endoftext|>" for story in STORIES)


def test_batches_of_documents_change_nothing(stories: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Text(path=stories, tokenizer=saved, context=4).open().tokens.tolist()
    monkeypatch.setattr(subwords, "BATCH_BYTES", 100)
    monkeypatch.setenv("GDIST_CACHE", str(stories / "other"))
    assert Text(path=stories, tokenizer=saved, context=4).open().tokens.tolist() == one


@pytest.mark.parametrize(("separator", "ids"), [("\n\n", None), ("!", None), ("<|endoftext|>", [0]), ("", [])])
def test_a_separator_is_a_token_or_a_text(stories: Path, saved: Path, separator: str, ids: list[int] | None) -> None:
    rows = Text(path=stories, tokenizer=saved, separator=separator, context=4).open()
    between = encoded(saved, [separator])[0] if ids is None else ids
    assert rows.tokens.tolist() == list(chain(*(each + between for each in encoded(saved, STORIES))))


def test_it_learns_the_same_each_time_and_reads_any_text(
    stories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Text(path=stories, tokenizer=TrainTokenizer(vocabulary=320), context=4)
    rows = source.open()
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "other"))
    again = source.open()
    assert again.fingerprint() == rows.fingerprint()
    assert rows.tokenizer.vocabulary == 320
    (tmp_path / "new.txt").write_text("Жук, unseen: \x00\x7f  \r\n 🦊")
    new = Text(path=tmp_path / "new.txt", context=2).open().with_state(json.loads(json.dumps(rows.state())))
    assert new.decode(new.tokens) == "Жук, unseen: \x00\x7f  \r\n 🦊<|endoftext|>"


def test_it_is_learned_once_for_all_windows(stories: Path, cache: Path) -> None:
    for context in (4, 8):
        Text(path=stories, tokenizer=TrainTokenizer(vocabulary=300), context=context).open().take(np.arange(2))
    assert sorted(entry.name.partition("-")[0] for entry in cache.iterdir()) == ["tokenizer", "tokens"]


@pytest.mark.parametrize("damage", [lambda text: text[:-40], lambda text: "{}", lambda text: "", lambda text: "\x00"])
def test_a_damaged_tokenizer_s_file_is_said(stories: Path, saved: Path, damage: object) -> None:
    saved.write_text(damage(saved.read_text()))  # type: ignore[operator]
    with pytest.raises(DataError, match=r"not a tokenizer[^$]*tokenizer.json"):
        len(Text(path=stories, tokenizer=saved).open())
    saved.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"not a tokenizer[^$]*tokenizer.json"):
        len(Text(path=stories, tokenizer=saved).open())
    with pytest.raises(DataError, match=r"no such"):
        len(Text(path=stories, tokenizer=saved.with_name("other.json")).open())


def test_an_untrained_tokenizer_is_said(stories: Path, tmp_path: Path) -> None:
    tokenizers.Tokenizer(tokenizers.models.BPE()).save(str(tmp_path / "none.json"))
    with pytest.raises(DataError, match="has no tokens"):
        len(Text(path=stories, tokenizer=tmp_path / "none.json").open())


def test_without_the_package_the_extra_is_named(stories: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(DataError, match=r"`tokenizers` is not installed[^$]*pip install 'gdist\[text\]'"):
        len(Text(path=stories, tokenizer=TrainTokenizer()).open())
    assert len(Text(path=stories, context=8).open())


def test_undecodable_bytes_are_named(stories: Path) -> None:
    (stories / "05.txt").write_bytes(b"caf\xe9 au lait")
    with pytest.raises(DataError, match=r"not UTF-8: byte 0xe9[^$]*05.txt, byte 3"):
        len(Text(path=stories, tokenizer=TrainTokenizer(vocabulary=300)).open())


def test_a_vocabulary_has_room_for_all_bytes() -> None:
    with pytest.raises(JobError, match="vocabulary"):
        TrainTokenizer(vocabulary=256)
    described = Text(path="x", tokenizer=TrainTokenizer(vocabulary=300)).describe()["tokenizer"]
    assert described == {"kind": "bpe", "vocabulary": 300, "end": "<|endoftext|>"}
