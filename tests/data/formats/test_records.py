"""Records are found as a reader of one byte after another would find them."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from gdist.data.formats.bits import after, before, between, count, equal, last, pack, positions
from gdist.data.formats.records import JSON, Dialect, count_records, find_records


def one_by_one(text: bytes, dialect: Dialect) -> list[bytes]:
    """The same, a byte at a time, as pyarrow's parser does it."""
    records, record, quoted, value_begins, i = [], b"", False, True, 0
    quote, escape = (dialect.quote or "\0").encode(), (dialect.escape or "\0").encode()
    while i < len(text):
        byte = text[i : i + 1]
        record += byte
        if byte == escape and i + 1 < len(text):
            i, value_begins = i + 1, False
            record += text[i : i + 1]
        elif quoted and byte == quote:
            if text[i + 1 : i + 2] == quote:
                i += 1
                record += quote
            else:
                quoted = False
        elif not quoted and byte == quote and value_begins:
            quoted, value_begins = True, False
        elif not quoted and (byte == b"\n" or (byte == b"\r" and text[i + 1 : i + 2] != b"\n")):
            records.append(record)
            record, value_begins = b"", True
        else:
            value_begins = not quoted and byte == dialect.delimiter.encode()
        i += 1
    return [each for each in [*records, record] if each.strip(b"\r\n")]


def found(text: bytes, dialect: Dialect) -> list[bytes]:
    records = find_records(text, dialect)
    return [text[start:end] for start, end in zip(records.starts, records.ends, strict=True)]


@pytest.mark.parametrize("alphabet", [b'a,\n"', b'a,\n"\r', b"a,\n", b"a\n\r", b'a,"\n' + b"b" * 40, b'a,"""\n\n'])
@pytest.mark.parametrize("length", [1, 5, 64, 65, 300])
def test_records_are_those_of_a_reader_of_one_byte_after_another(alphabet: bytes, length: int) -> None:
    chosen = random.Random(length)
    for _ in range(300):
        text = bytes(chosen.choices(alphabet, k=length))
        assert found(text, Dialect()) == one_by_one(text, Dialect()), text


@pytest.mark.parametrize("dialect", [Dialect(escape="\\"), Dialect(delimiter="\t", quote="'"), Dialect(quote=None)])
def test_other_marks(dialect: Dialect) -> None:
    chosen = random.Random(0)
    for _ in range(500):
        text = bytes(chosen.choices(b"a\"'\\,\t\n", k=60))
        if dialect.escape:  # what is escaped and followed by a quote is where the two disagree
            text = re.sub(rb'\\[,\n]"', b"aa", text)
        assert found(text, dialect) == one_by_one(text, dialect), text


def test_a_text_is_the_same_records_in_blocks() -> None:
    """Each block is cut at its last whole record; what is left begins the next."""
    chosen = random.Random(1)
    for alphabet in (b'ab,\n"', b"ab,\n\r", b'ab,\n"\r'):
        for _ in range(200):
            text = bytes(chosen.choices(alphabet, k=200))
            offset, size, rows, lines = 0, 20, 0, 0
            while offset < len(text):
                block = text[offset : offset + size]
                is_last = offset + size >= len(text)
                end, block_rows, block_lines = count_records(block, Dialect(), is_last=is_last)
                if not end:
                    assert not is_last
                    size *= 2
                    continue
                assert end == len(block) or not is_last
                offset, size, rows, lines = offset + end, 20, rows + block_rows, lines + block_lines
            assert rows == len(one_by_one(text, Dialect())), text
            whole = find_records(text, Dialect())
            assert lines == whole.lines, text


def test_an_open_quote_is_known() -> None:
    assert find_records(b'a,"b\n', Dialect()).closed is False
    assert find_records(b'a,"b"\n', Dialect()).closed is True
    assert find_records(b'a,5" b\n', Dialect()).closed is True
    assert find_records(b'a,5" b,"c""', Dialect()).closed is False
    assert find_records(b'a,5" b,"c"""', Dialect()).closed is True


def test_json_records_are_lines_that_hold_anything() -> None:
    assert found(b'{"a": "\r"}\n  \n\r\n {}\n\n{"b": 1}', JSON) == [b'{"a": "\r"}\n', b" {}\n", b'{"b": 1}']
    assert found(b"  ", JSON) == []
    assert count_records(b'{"a": 1}\n \n{"a": ', JSON, is_last=False) == (11, 1, 2)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 1000])
def test_bits_are_what_they_were_before_they_were_packed(length: int) -> None:
    mask = np.random.default_rng(length).random(length) < 0.3
    words = pack(mask)
    assert positions(words).tolist() == np.flatnonzero(mask).tolist()
    assert count(words) == mask.sum()
    assert last(words) == (np.flatnonzero(mask)[-1] if mask.any() else -1)
    for first in (False, True):
        shifted = np.concatenate(([first], mask))[:length]
        assert positions(after(words, first=first))[: shifted.sum()].tolist() == np.flatnonzero(shifted).tolist()
    assert positions(before(words)).tolist() == np.flatnonzero(mask[1:]).tolist()
    inside = np.cumsum(mask) % 2 == 1
    assert positions(between(words))[: inside.sum()].tolist() == np.flatnonzero(inside).tolist()


@pytest.mark.parametrize("length", [0, 1, 64, (1 << 18) - 1, 1 << 18, (1 << 18) + 65])
def test_bytes_are_compared_alike_in_parts_and_whole(length: int) -> None:
    octets = np.random.default_rng(length).integers(0, 3, length).astype(np.uint8)
    assert equal(octets, 1).tolist() == pack(octets == 1).tolist()
