"""Pieces of text: together they are the text, none is too long, none is cut inside a character, and words stay whole."""

from __future__ import annotations

import os
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from gdist.data.storage import find_files
from gdist.data.text import corpus as reading
from gdist.data.text import pieces as cutting
from gdist.data.text.corpus import Corpus
from gdist.data.text.pieces import Piece, parts
from gdist.data.text.tokenizer import Bytes, Characters, Tokenizer
from gdist.errors import DataError

WORDS = ["tree", "Größe", "数", "🎈", "x1", " ", "  ", "\n", "\n\n", "\t", ";", "(", "don't", "\u00a0", "é" * 9]


def text_of(seed: int, words: int) -> str:
    return "".join(random.Random(seed).choices(WORDS, k=words))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 64 bytes, read 100 at a time."""
    monkeypatch.setattr(cutting, "PIECE_BYTES", 64)
    monkeypatch.setattr(reading, "_READ_BYTES", 100)


def written(folder: Path, texts: list[str]) -> Corpus:
    folder.mkdir()
    for i, text in enumerate(texts):
        (folder / f"{i:03}.txt").write_text(text, newline="")
    return Corpus(find_files(folder, suffixes=(".txt",)))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(8))
def test_pieces_are_the_documents_in_order_and_short(tmp_path: Path, seed: int) -> None:
    texts = [text_of(seed * 100 + i, words) for i, words in enumerate([0, 1, 5, 300, 40, 2, 1000])]
    found, rest = [], b""
    for piece in written(tmp_path / "t", texts).pieces():
        content = piece.content.tobytes()
        assert 0 < len(content) <= 64
        content.decode()
        stops = [0, *piece.ends.tolist()]
        for start, stop in pairwise(stops):
            found.append(rest + content[start:stop])
            rest = b""
        rest += content[stops[-1] :]
    assert found == [text.encode() for text in texts if text]
    assert rest == b""


@pytest.mark.parametrize("seed", range(5))
def test_parts_hold_whole_documents_where_they_fit(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "PIECE_BYTES", 50)
    generator = random.Random(seed)
    ends = np.cumsum([generator.randint(1, 120) for _ in range(40)])
    content = np.frombuffer(b"ab cd " * 1000, dtype=np.uint8)[: ends[-1]]
    cut = [stop for _, stop in parts(content, ends)]
    assert [start for start, _ in parts(content, ends)] == [0, *cut[:-1]]
    assert cut[-1] == len(content)
    for start, stop in pairwise([0, *cut]):
        fits = ends[(ends > start) & (ends <= start + 50)]
        assert stop in ends or not len(fits)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("tokenizer", [Bytes(), Characters("".join(sorted(set("".join(WORDS)) | {"|"})))])
def test_tokens_do_not_depend_on_the_pieces(tmp_path: Path, tokenizer: Tokenizer) -> None:
    texts = [text_of(i, 200) for i in range(5)]
    corpus = written(tmp_path / "t", texts)
    tokens = np.concatenate(list(tokenizer.encode(corpus.pieces(), separator="||")))
    assert tokenizer.decode(tokens) == "".join(text + "||" for text in texts)


@pytest.mark.parametrize("pattern", ["gpt2", "llama3"])
def test_words_are_not_cut(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the library: the tokens of the pieces, one after the other, are those of the text."""
    monkeypatch.setattr(cutting, "PIECE_BYTES", 200)
    text = text_of(3, 5000)
    whole = tokenizers.Tokenizer(models.BPE())
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pattern == "llama3":
        words = r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        split = pre_tokenizers.Split(tokenizers.Regex(words), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        whole.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    whole.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    whole.train_from_iterator([text], trainer)
    content = np.frombuffer(text.encode(), dtype=np.uint8)
    pieces = [content[start:stop].tobytes().decode() for start, stop in parts(content, np.array([len(content)]))]
    assert len(pieces) > 50
    assert [number for piece in pieces for number in whole.encode(piece).ids] == whole.encode(text).ids


@pytest.mark.parametrize("now", ["some te", "some text and more", "same size"])
def test_a_file_that_changed_while_it_was_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: str) -> None:
    corpus = written(tmp_path / "t", ["some text", "more"])
    file = tmp_path / "t" / "000.txt"
    read = reading._read

    def read_and_change(*of: Any) -> bytes:
        first = read(*of)
        file.write_text(now)
        os.utime(file, ns=(0, 0))
        return first

    monkeypatch.setattr(reading, "_READ_BYTES", 5)
    monkeypatch.setattr(reading, "_read", read_and_change)
    with pytest.raises(DataError, match=r"changed (while it was read|since it was found)[^$]*000.txt"):
        list(corpus.pieces())
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"has changed since it was found[^$]*000.txt"):
        list(corpus.pieces())


def test_progress_goes_up_to_all(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    list(written(tmp_path / "t", ["a" * (5 << 20), "b"]).pieces(lambda done, all: told.append((done, all))))
    assert told == sorted(told)
    assert len(told) > 2
    assert told[-1] == ((5 << 20) + 1,) * 2


def test_a_piece_names_the_place_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "long.txt").write_bytes(b"word " * 500_000 + b"\xff")
    pieces: list[Piece] = list(Corpus(find_files(tmp_path / "t", suffixes=(".txt",))).pieces())
    assert len(pieces) > 5
    assert pieces[-1].place(len(pieces[-1].content) - 1) == f"{tmp_path}/t/long.txt, byte 2500000"
