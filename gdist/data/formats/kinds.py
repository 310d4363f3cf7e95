"""The columns' types of text files, settled once for all files of the data: what the user says, else what some blocks hold."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gdist.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from gdist.data.formats.format import Reader
    from gdist.data.storage import StoredFile


def settled(
    files: Sequence[StoredFile], opened: Callable[[StoredFile], Reader], *, first_wins: bool = False
) -> pa.Schema | None:
    """Types over all files: as found in the first file that has rows, and in the last one. None if none has any."""
    found: list[pa.Schema] = []
    for order in (files, files[::-1]):
        first = next((reader for reader in map(opened, order) if reader.groups), None)
        if first is not None and (not found or first.file != files[0]):
            found.append(first.stored)
    return merged(found, first_wins=first_wins) if found else None


def samples(blocks: int) -> list[int]:
    """The blocks whose first records are looked at: the first one, a middle one and the last."""
    return sorted({0, blocks // 2, blocks - 1}) if blocks else []


def merged(found: Sequence[pa.Schema], *, first_wins: bool = False) -> pa.Schema:
    """One schema that holds what each found. A column that never had a value is text; so is one of which they disagree, or
    else it is as the first one found it.
    """
    import pyarrow as pa

    names = dict.fromkeys(name for schema in found for name in schema.names)
    return pa.schema(
        [(name, _merged([s.field(name).type for s in found if name in s.names], first_wins=first_wins)) for name in names]
    )


def as_told(found: pa.Schema, types: dict[str, str], *, where: str) -> pa.Schema:
    """``found`` with the types that the user gave, by name or else by pattern. Raises DataError for a name of no column."""
    import pyarrow as pa

    kinds = dict(zip(found.names, found.types, strict=True))
    for name, word in sorted(types.items(), key=lambda item: item[0] in kinds):  # a name beats a pattern
        meant = [name] if name in kinds else fnmatch.filter(kinds, name)
        if not meant and found.names:
            raise DataError(f"`types` names `{name}`, which is no column", where=where, help=f"columns: {', '.join(kinds)}")
        kinds.update(dict.fromkeys(meant, kind(word)))
    return pa.schema(list(kinds.items()))


def kind(word: str) -> pa.DataType:
    import pyarrow as pa

    return pa.dictionary(pa.int32(), pa.string()) if word == "category" else pa.type_for_alias(word)


def word(kind: pa.DataType) -> str:
    """As a message calls a type."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return "category"
    return {"double": "float64", "float": "float32", "date32[day]": "date32"}.get(str(kind), str(kind))


def is_text(kind: pa.DataType) -> bool:
    """Plain, or as a dictionary."""
    import pyarrow.types as is_

    if is_.is_dictionary(kind):
        kind = kind.value_type
    return bool(is_.is_string(kind) or is_.is_large_string(kind))


def widest(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both, of numbers the wider; None if there is none."""
    import pyarrow as pa

    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_dictionary(one) != pa.types.is_dictionary(other):
        return widest(*(each.value_type if pa.types.is_dictionary(each) else each for each in (one, other)))
    if pa.types.is_fixed_size_list(one) or pa.types.is_fixed_size_list(other):
        if not (pa.types.is_fixed_size_list(one) and pa.types.is_fixed_size_list(other)) or one.list_size != other.list_size:
            return None
        inner = widest(one.value_type, other.value_type)
        return None if inner is None else pa.list_(inner, one.list_size)
    try:
        both = [pa.schema([("", kind)]) for kind in (one, other)]
        return pa.unify_schemas(both, promote_options="permissive").field(0).type
    except pa.ArrowTypeError:
        return None


def fixed(column: pa.ChunkedArray | pa.Array) -> pa.DataType:
    """A column's type, with fixed-size lists where all its lists are equally long, at any depth."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_list(column.type):
        return column.type
    lengths = pc.min_max(pc.list_value_length(column)).as_py()
    inner = fixed(pc.list_flatten(column))
    is_fixed = lengths["min"] == lengths["max"] and lengths["min"]
    return pa.list_(inner, lengths["min"]) if is_fixed else pa.list_(inner)


def variable(kind: pa.DataType) -> pa.DataType:
    """A type without fixed-size lists and dictionaries, as pyarrow.json can parse it."""
    import pyarrow as pa

    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        return pa.list_(variable(kind.value_type))
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _merged(kinds: list[pa.DataType], *, first_wins: bool) -> pa.DataType:
    import pyarrow as pa

    kind = kinds[0]
    for other in kinds[1:]:
        wider = widest(kind, other)
        if wider is None and _is_list(kind) and _is_list(other):
            wider = widest(variable(kind), variable(other))
        if wider is None and not first_wins:
            return pa.string()
        kind = kind if wider is None else wider
    return pa.string() if pa.types.is_null(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))
