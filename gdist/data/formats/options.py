"""What the user may say of CSV and JSON lines, which do not say it themselves."""

from __future__ import annotations

import codecs
from typing import Literal

from pydantic import Field, field_validator, model_validator

from gdist.data.formats.records import Dialect
from gdist.description import Description, Wrong, nearest, refuse

KINDS = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float32",
    "float64",
    "string",
    "category",
    "date32",
    *(f"timestamp[{unit}]" for unit in ("s", "ms", "us", "ns")),
)
NULL_WORDS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "n/a", "null", "NULL", "None")


class TextOptions(Description):
    types: dict[str, str] = Field(
        default={}, description="types of columns by name or pattern (x_*), where those found in the first rows are not meant"
    )

    @field_validator("types")
    @classmethod
    def _known(cls, types: dict[str, str]) -> dict[str, str]:
        for name, kind in types.items():
            if kind not in KINDS:
                near = nearest(kind, KINDS)
                meant = f"did you mean {near!r}? " if near else ""
                raise Wrong(f"has an unknown type {kind!r} for `{name}`", help=f"{meant}types: {', '.join(KINDS)}")
        return types


class JsonLinesOptions(TextOptions):
    """One JSON object a line, in UTF-8."""


class CsvOptions(TextOptions):
    """A value in quotes may hold the delimiter and line ends; a quote in it is doubled."""

    delimiter: str = Field(default=",", description="one character between values: , ; | or \\t")
    quote: str | None = Field(default='"', description="one character around values; None if there is no such")
    escape: str | None = Field(default=None, description="one character that takes the next one literally, such as \\\\")
    names: tuple[str, ...] | None = Field(default=None, description="column names, of files without a line of names")
    null_words: tuple[str, ...] = Field(default=NULL_WORDS, description="values that mean: missing (not if they are in quotes)")
    encoding: str = Field(default="utf-8", description="of the text, such as latin-1")
    decimal: Literal[".", ","] = Field(default=".", description="the mark before decimals")

    @field_validator("delimiter", "quote", "escape")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or not value.isascii() or value in "\r\n"):
            raise Wrong(f"must be one ASCII character and no line end, not {value!r}")
        return value

    @field_validator("encoding")
    @classmethod
    def _keeps_ascii(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
            if bytes(range(128)).decode(name) == "".join(map(chr, range(128))):
                return name.removesuffix("-sig")
        except (LookupError, UnicodeError):
            raise Wrong(f"must be a text encoding, not {value!r}", help="such as utf-8, latin-1, cp1252, shift_jis") from None
        help = "convert the file first: iconv -f ENCODING -t UTF-8 IN > OUT"
        raise Wrong(f"must keep ASCII as it is, so that lines can be found; {value} does not", help=help)

    @model_validator(mode="after")
    def _marks_differ(self) -> CsvOptions:
        marks = [mark for mark in (self.delimiter, self.quote, self.escape) if mark is not None]
        if len(set(marks)) < len(marks):
            refuse("`delimiter`, `quote` and `escape` must differ")
        return self

    def dialect(self) -> Dialect:
        return Dialect(self.delimiter, self.quote, self.escape)
