"""Tables in files, whatever their format: which columns become which tensors, and how their rows are brought to a run.

To add a format: a reader in ``formats/``, and a source beside ``parquet.py`` with the format's own fields.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, ByteSize, Field, TypeAdapter, ValidationError, field_validator

from gdist.data.columns import Choice, Dtype
from gdist.data.learned.recipe import Scale, Value
from gdist.data.source import Source
from gdist.description import Wrong, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gdist.data.formats.format import Reader
    from gdist.data.storage import StoredFile
    from gdist.data.table_rows import TableRows


def as_text(path: Any) -> Any:
    """A path, or several, as text; else an URL would lose a slash on its way."""
    if isinstance(path, (tuple, list)):
        return tuple(os.fspath(each) if isinstance(each, os.PathLike) else each for each in path)
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def _bytes(value: Any) -> int:
    """A number of bytes, also from words such as 512MiB."""
    try:
        size = TypeAdapter(ByteSize).validate_python(value)
    except ValidationError:
        size = ByteSize(0)
    if size <= 0 or isinstance(value, bool):
        raise Wrong(f"must be a number of bytes, not {shown(value)}", help="such as 512MiB, or 2GB")
    return int(size)


class Columns(Source):
    """``features`` always has a dimension after the rows; ``target`` and extra tensors of one column named alone have none."""

    features: Choice | None = Field(
        default=None, description="columns the model sees: a name, a list, or a pattern such as pixel_*; all others if not set"
    )
    target: Choice | None = Field(default=None, description="column or columns the model should say; none if not set")
    extra: dict[str, Choice] = Field(default={}, description="further tensors of a batch by name, and their columns")
    shape: tuple[int, ...] | None = Field(
        default=None, description="of one sample's features, such as [1, 8, 8]; encoded images are decoded to it"
    )
    dtypes: dict[str, Dtype] = Field(
        default={},
        description=f"type of a tensor by its name, one of {', '.join(get_args(Dtype))}; if not set, features are floats and "
        "whole numbers elsewhere int64",
    )
    scale: Scale | dict[str, Scale] | None = Field(
        default=None,
        description="'standardize' (mean 0, deviation 1) or 'minmax' (0 to 1), learned from the training rows: for all numeric "
        "features, or by column or pattern",
    )
    fill: Value | dict[str, Value] | None = Field(
        default=None,
        description="for missing values: 'mean', 'median', 'most_frequent', a value, or 'drop' (the row), for all features or "
        "by column or pattern; an error if not set",
    )
    indicators: bool = Field(default=False, description="for each filled column one more, 1 where it was missing")
    categories: Choice = Field(
        default=(), description="columns whose values become codes, 0 for what training did not have; a target of text always"
    )
    on_bad_rows: Literal["error", "skip"] = Field(
        default="error", description="'skip': rows that cannot be used are left out of their batch, counted and reported"
    )
    memory: Annotated[int | str, BeforeValidator(_bytes)] = Field(
        default=1 << 30,
        description="bytes, or as '512MiB': data that takes more is read in row groups as it is needed. Of each worker",
    )
    streams: int = Field(default=64, ge=1, description="row groups mixed at a time where they do not all fit, at most")
    window: int | None = Field(
        default=None, ge=1, description="row groups that each stream mixes. None: as many as fit, at most 4"
    )
    deadline_s: float = Field(default=600.0, gt=0, description="s: the longest that a batch may wait for its rows")

    @field_validator("extra")
    @classmethod
    def _own_names(cls, extra: dict[str, Choice]) -> dict[str, Choice]:
        for name in ("features", "target"):
            if name in extra:
                raise ValueError(f"`{name}` has a field of its own: {name}=")
        return extra

    def like(self, other: Columns) -> Columns:
        """This source, read as ``other`` is where it does not say otherwise."""
        unsaid = {name: getattr(other, name) for name in Columns.model_fields if name not in self.model_fields_set}
        return self.model_copy(update=unsaid)


class Table(Columns):
    """Columns in files."""

    path: Annotated[str | tuple[str, ...], BeforeValidator(as_text)] = Field(
        description="a file, a folder, a glob such as data/*.parquet, or a list; local, s3://, gs:// or another fsspec URL"
    )
    storage: dict[str, Any] = Field(default={}, description="options of the file system, such as an endpoint or a key")

    format: ClassVar[str]  # its module in ``formats``

    def options(self) -> Any:
        """What the format's readers must be told; None for a format that says all itself."""
        return None

    def suffixes(self) -> tuple[str, ...]:
        """Endings of the format's files."""
        from gdist.data.formats.file_set import suffixes

        return suffixes(self.format)

    def find(self) -> list[StoredFile]:
        from gdist.data.storage import find_files

        return find_files(self.path, suffixes=self.suffixes(), options=self.storage)

    def readers(self, files: Sequence[StoredFile]) -> list[Reader]:
        """Opens the files. Raises DataError that names the one that is none of this format."""
        from gdist.data.formats.file_set import open_readers

        return open_readers(self.format, files, options=self.options())

    def open(self, *, text: Collection[str] = ()) -> TableRows:
        """``text``: columns that are text where a file leaves their types open."""
        from gdist.data.table_rows import TableRows

        return TableRows(self, [reader.with_text(text) for reader in self.readers(self.find())])

    def describe(self) -> dict[str, Any]:
        from gdist.data.storage.secrets import shown_options, shown_path

        path = [shown_path(each) for each in self.path] if isinstance(self.path, tuple) else shown_path(self.path)
        return super().describe() | {"path": path, "storage": shown_options(self.storage)}
