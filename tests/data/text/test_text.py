"""Text: windows against plain Python slicing, separators, columns of tables, and what is said of a wrong corpus."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch

from gdist.data.identity import stamps
from gdist.data.text import Text, TextRows
from gdist.data.text.tokens import map_tokens, write_tokens
from gdist.errors import DataError, JobError
from tests.data.text.conftest import DOCUMENTS

PLAIN = [text for text in DOCUMENTS.values() if text]


def windows(tokens: Iterable[int], context: int, stride: int) -> list[list[int]]:
    """The reference: slices of a list."""
    numbers = list(tokens)
    return [numbers[i : i + context + 1] for i in range(0, len(numbers) - context, stride)]


def taken(rows: TextRows) -> list[list[int]]:
    batch = rows.take(np.arange(len(rows)))
    assert torch.equal(batch.features[:, 1:], batch.target[:, :-1])
    return torch.cat([batch.features, batch.target[:, -1:]], dim=1).tolist()


@pytest.mark.parametrize(("context", "stride"), [(16, None), (1, None), (7, 3), (5, 11), (60, 1), (100, None)])
def test_rows_are_windows_of_the_bytes(corpus: Path, context: int, stride: int | None) -> None:
    rows = Text(path=corpus, context=context, stride=stride).open()
    content = "".join(PLAIN).encode()
    assert taken(rows) == windows(content, context, stride or context)
    assert rows.columns()["target"] == rows.columns()["features"] == ((context,), torch.int64)


def test_a_batch_is_in_any_order_fresh_contiguous_and_stamped(corpus: Path) -> None:
    rows = Text(path=corpus, context=8).open()
    chosen = np.array([5, 0, 5, 11])
    batch = rows.take(chosen)
    assert batch.features.tolist() == [windows("".join(PLAIN).encode(), 8, 8)[row][:-1] for row in chosen]
    assert batch.features.is_contiguous()
    assert batch.target.is_contiguous()
    assert batch.features.dtype == torch.int64
    assert rows.place(11) == "window 11, tokens 88 to 96 of the corpus"
    batch.features.zero_()
    assert rows.take(chosen).features.all()
    assert (batch.stamp - sum(stamps(0, chosen).tolist())) % 2**64 == 0
    assert rows.take(np.empty(0, dtype=np.int64)).features.shape == (0, 8)
    with pytest.raises(IndexError):
        rows.take(np.array([len(rows)]))


@pytest.mark.parametrize("tokenizer", ["bytes", "characters"])
@pytest.mark.parametrize("separator", [None, "\n\n", "數"])
def test_documents_are_separated(corpus: Path, tokenizer: str, separator: str | None) -> None:
    rows = Text(path=corpus, tokenizer=tokenizer, separator=separator, context=10).open()
    text = "".join(document + (separator or "") for document in PLAIN)
    vocabulary = sorted(set(text))
    expected = [vocabulary.index(c) for c in text] if tokenizer == "characters" else list(text.encode())
    assert rows.tokens.tolist() == expected
    assert rows.tokens.dtype == np.uint8
    assert rows.decode(rows.tokens) == text


def test_characters_take_two_bytes_where_there_are_many(tmp_path: Path) -> None:
    text = "".join(map(chr, random.Random(0).sample(range(0x4E00, 0x9FA5), 400)))
    (tmp_path / "t.txt").write_text(text)
    rows = Text(path=tmp_path / "t.txt", tokenizer="characters", context=4).open()
    assert rows.tokens.dtype == np.uint16
    assert taken(rows) == windows([sorted(text).index(c) for c in text], 4, 4)


def test_a_learned_vocabulary_reads_other_text_and_survives_json(corpus: Path, tmp_path: Path) -> None:
    rows = Text(path=corpus, tokenizer="characters", context=4).open()
    state = json.loads(json.dumps(rows.state()))
    (tmp_path / "other.txt").write_text("word was the")
    other = Text(path=tmp_path / "other.txt", tokenizer="characters", context=4)
    assert other.open().tokenizer.vocabulary == len(set("word was the"))
    read = other.open().with_state(state)
    assert read.tokenizer.vocabulary == rows.tokenizer.vocabulary
    assert rows.decode(read.tokens) == "word was the"
    (tmp_path / "other.txt").write_text("the word: Ж")
    with pytest.raises(DataError, match=r"character 'Ж' is not in the vocabulary[^$]*other.txt, byte 10\n"):
        len(other.open().with_state(state))


def test_with_another_s_state_nothing_is_learned_and_its_own_state_changes_nothing(corpus: Path, cache: Path) -> None:
    rows = Text(path=corpus, tokenizer="characters", context=4).open()
    assert rows.with_state({}) is rows
    assert rows.with_state({"learned": {}}) is rows
    again = Text(path=corpus, tokenizer="characters", context=4).open().with_state(rows.state())
    assert (again.fingerprint(), again.state()) == (rows.fingerprint(), rows.state())
    assert sum(entry.name.startswith("tokenizer-") for entry in cache.iterdir()) == 1
    Text(path=corpus / "a.txt", tokenizer="characters", context=4).open().with_state(rows.state()).take(np.arange(2))
    assert sum(entry.name.startswith("tokenizer-") for entry in cache.iterdir()) == 1


def test_what_a_model_and_a_resume_ask_of_it(corpus: Path) -> None:
    rows = Text(path=corpus, tokenizer="characters", context=4).open()
    assert rows.facts().classes == len(set("".join(PLAIN)))
    assert rows.facts().shape == (4,)
    before = rows.files()
    assert [(Path(file["path"]).name, file["size"]) for file in before] == [
        (Path(name).name, len(text.encode())) for name, text in DOCUMENTS.items()
    ]
    os.utime(corpus / "b.txt", (0, 0))
    now = Text(path=corpus, context=4).open().files()
    assert [one == other for one, other in zip(before, now, strict=True)] == [True, False, True, True]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_a_column_of_tables_is_a_corpus_without_nulls_and_empty_rows(tmp_path: Path, kind: pa.DataType) -> None:
    texts = ["one", None, "", "zwölf", "three " * 30, None, "four"]
    for i, part in enumerate((texts[:4], texts[4:])):
        table = pa.table({"text": pa.array(part).cast(kind), "n": range(len(part))})
        pq.write_table(table, tmp_path / f"{i}.parquet", row_group_size=2)
    for tokenizer in ("bytes", "characters"):
        rows = Text(path=tmp_path, column="text", tokenizer=tokenizer, separator="|", context=4).open()
        assert rows.decode(rows.tokens) == "".join(f"{text}|" for text in texts if text)


def test_any_format_of_tables_has_columns(tmp_path: Path) -> None:
    texts = ["one", "zwölf\nthirteen", 'a "word", and more', "x" * 3000]
    table = pa.table({"n": range(4), "text": texts})
    pq.write_table(table, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "t.arrow")
    pyarrow.csv.write_csv(table, tmp_path / "t.csv")
    lines = [json.dumps({"n": n, "text": text}) + "\n" for n, text in enumerate(texts)]
    (tmp_path / "t.jsonl").write_text("".join(lines))
    for suffix in ("parquet", "arrow", "csv", "jsonl"):
        rows = Text(path=tmp_path / f"t.{suffix}", column="text", separator="|", context=4).open()
        assert rows.decode(rows.tokens) == "".join(f"{text}|" for text in texts), suffix


def test_an_unknown_character_in_a_column_is_named_by_its_row(tmp_path: Path) -> None:
    for name, texts in (("known", ["abc"]), ("unknown", ["ab", "", None, "aéb"])):
        pq.write_table(pa.table({"text": texts}), tmp_path / f"{name}.parquet")
    sources = {name: Text(path=tmp_path / f"{name}.parquet", column="text", context=1) for name in ("known", "unknown")}
    learned = sources["known"].replace({"tokenizer": "characters"}).open().state()
    with pytest.raises(DataError, match=r"character 'é' is not in[^$]*unknown.parquet, row 3, column `text`, byte 1\n"):
        len(sources["unknown"].open().with_state(learned))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("n", r"column `n` holds int64, not text[^$]*columns of text: `text`"),
        ("txt", r"column `txt` is missing[^$]*did you mean `text`"),
    ],
)
def test_a_column_that_is_none_or_no_text(tmp_path: Path, column: str, message: str) -> None:
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        Text(path=tmp_path, column=column).open()


def test_a_column_is_for_tables_of_one_format(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("a")
    with pytest.raises(DataError, match=r"`column` is for tables[^$]*a.md[^$]*leave column= out"):
        Text(path=tmp_path / "a.md", column="text").open()
    table = pa.table({"text": ["a"]})
    pq.write_table(table, tmp_path / "a.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "b.arrow")
    with pytest.raises(DataError, match=r"a arrow file, where the first is parquet[^$]*b.arrow"):
        Text(path=(tmp_path / "a.parquet", tmp_path / "b.arrow"), column="text").open()


def test_undecodable_bytes_are_named_by_file_and_offset_and_bytes_take_them(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes("é".encode() * 700_000 + b"\xe9t\xe9")
    with pytest.raises(DataError, match=r"not UTF-8: byte 0xe9 [^$]*bad.txt, byte 1400000[^$]*tokenizer='bytes'"):
        len(Text(path=tmp_path, tokenizer="characters").open())
    assert len(Text(path=tmp_path).open().tokens) == 1_400_003


def test_an_empty_or_short_corpus_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    for tokenizer in ("bytes", "characters"):
        with pytest.raises(DataError, match=r"the data is empty[^$]*a.txt"):
            len(Text(path=tmp_path, tokenizer=tokenizer).open())
    (tmp_path / "a.txt").write_text("x" * 256)
    with pytest.raises(DataError, match=r"has 256 tokens, and one window takes 257[^$]*set context to 255 or less"):
        len(Text(path=tmp_path, context=256).open())
    assert len(Text(path=tmp_path, context=255).open()) == 1


def test_which_files_a_path_means(corpus: Path) -> None:
    def text(**fields: Any) -> str:
        rows = Text(context=1, separator="|", **fields).open()
        return rows.decode(rows.tokens)

    (corpus / "code.py").write_text("pass")
    assert text(path=corpus) == "".join(f"{text}|" for text in PLAIN)
    assert text(path=corpus, suffixes=(".py",)) == text(path=corpus / "*.py") == "pass|"
    assert text(path=(corpus / "code.py", corpus / "a.txt")) == f"pass|{DOCUMENTS['a.txt']}|"
    with pytest.raises(DataError, match="no such"):
        Text(path=corpus / "nothing.txt").open()


def test_the_fingerprint_is_of_content_not_of_place_and_tells_all_else_apart(corpus: Path, tmp_path: Path) -> None:
    os.makedirs(tmp_path / "copy")
    (tmp_path / "copy" / "all.txt").write_text("".join(PLAIN))
    first = Text(path=corpus).replace({"context": 8}).open().fingerprint()
    assert Text(path=tmp_path / "copy", context=8).open().fingerprint() == first
    others = [{"context": 9}, {"context": 8, "stride": 4}, {"context": 8, "separator": " "}]
    others += [{"context": 8, "tokenizer": "characters"}]
    assert len({first, *(Text(path=corpus, **fields).open().fingerprint() for fields in others)}) == 5


def test_tokens_are_made_once_and_anew_when_a_file_was_written(corpus: Path, cache: Path) -> None:
    def opened() -> tuple[int, int]:
        told: list[tuple[int, int]] = []
        rows = Text(path=corpus, context=4).open(progress=lambda done, all: told.append((done, all)))
        return len(rows), len(told)

    count, read = opened()
    assert read == 3, "one piece for each file that is not empty"
    assert opened() == (count, 0)
    (corpus / "a.txt").write_text(DOCUMENTS["a.txt"] + "More.\n" * 10)
    assert opened() == (count + 15, 3)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("tokenizer", ["bytes", "characters"])
def test_a_damaged_file_of_the_cache_is_made_again(corpus: Path, cache: Path, tokenizer: str) -> None:
    def read() -> list[list[int]]:
        rows = Text(path=corpus, context=4, tokenizer=tokenizer).open()
        return rows.take(np.arange(len(rows))).features.tolist()

    first = read()
    for entry in list(cache.iterdir()):
        whole = entry.read_bytes()
        half = len(whole) // 2
        one_bit = [whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :] for at in (0, half, len(whole) - 30)]
        for damaged in (whole[:-3], whole[5:], b"", whole + b"x", whole[:half], bytes(len(whole)), *one_bit):
            os.unlink(entry)  # a map of it stays as it is
            entry.write_bytes(damaged)
            assert read() == first
            assert entry.read_bytes() == whole


def test_large_files_of_tokens_are_looked_at_from_end_to_end(tmp_path: Path) -> None:
    tokens = (np.full(1 << 20, i % 251, np.uint8) for i in range(100))
    write_tokens(tmp_path / "tokens", tokens, dtype=np.dtype(np.uint8))
    assert map_tokens(tmp_path / "tokens") is not None
    for megabyte in (0, 50, 99):
        with (tmp_path / "tokens").open("r+b") as file:
            file.seek((megabyte << 20) + 500)
            file.write(b"\xff")
            file.flush()
            found = map_tokens(tmp_path / "tokens")
            file.seek((megabyte << 20) + 500)
            file.write(bytes([megabyte % 251]))
        assert found is None, megabyte


def test_the_description_is_json_without_credentials(corpus: Path) -> None:
    source = Text(path=("s3://key:secret@bucket/a.txt", "b.txt"), storage={"secret_key": "secret"}, context=4)
    described = json.loads(json.dumps(source.describe()))
    assert described["kind"] == "Text"
    assert described["context"] == 4
    assert described["path"] == ["s3://bucket/a.txt", "b.txt"]
    assert "secret" not in json.dumps(described) + repr(source.storage and source.describe())
    assert Text(path=corpus).describe()["path"] == str(corpus)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokenizer": "byte"}, "must be 'bytes', 'characters'[^$]*did you mean 'bytes'"),
        ({"context": 0}, "context"),
        ({"stride": 0}, "stride"),
        ({"contxt": 5}, "did you mean `context`"),
        ({"tokenizer": 5}, "tokenizer"),
    ],
)
def test_a_wrong_field_is_refused_at_once(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match=message):
        Text(path="x", **fields)


def test_a_corpus_may_be_in_another_storage(corpus: Path) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    for name, text in DOCUMENTS.items():
        store.pipe(f"/corpus/{name}", text.encode())
    rows = Text(path="memory://corpus", context=8).open()
    assert taken(rows) == taken(Text(path=corpus, context=8).open())
    store.rm("/corpus", recursive=True)
