"""``gdist data PATH``: what is in files of data, and how a job could name it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from gdist.cli.arguments import split_words
from gdist.cli.group import verb
from gdist.errors import UsageError

if TYPE_CHECKING:
    from gdist.data.table import Table

_FORMATS = ("parquet", "arrow", "csv", "json_lines")


@verb(
    "data",
    examples=[
        ("gdist data train.parquet", "rows, columns, values, and a line for a job"),
        ('gdist data "logs/*.csv" delimiter=";"', "files of CSV are read as the words say"),
        ("gdist data s3://bucket/table/ storage.region=eu-west-1 --quick", "what the footers say, unread"),
    ],
)
@click.argument("words", nargs=-1, metavar="PATH... [a=b ...]")
@click.option("--format", "format", type=click.Choice(_FORMATS), help="Of the files; else found by their names.")
@click.option("--quick", is_flag=True, help="Read no rows: only what the files say of themselves.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("-v", "--verbose", is_flag=True, help="Whole tracebacks, and a line for each column.")
def command(words: tuple[str, ...], format: str | None, quick: bool, as_json: bool, verbose: bool) -> int:
    """Say what is at PATH: a file, a folder, a glob, or several; local, s3://, gs:// or another URL.

    Files, rows and row groups; of each column its type, missing values, range, mean, deviation, distinct values, examples, and
    what a job could make of it. The rows are scanned once, in bounded memory.

    a=b are fields of the source, such as delimiter, names, null_words, encoding, types.COLUMN and storage.region.
    """
    paths, fields = split_words(words)
    if not paths:
        raise UsageError("which data?", help="name a file, a folder or a glob: gdist data train.parquet")
    survey = partial(_survey, tuple(paths), format, fields, scan=not quick)
    if as_json:
        from gdist.display.stdout import JsonOutput

        output = JsonOutput()
        try:
            output.write([survey()])
        finally:
            output.close()
        return 0
    from gdist.display.surveyed import report

    click.echo("\n".join(report(survey(), every=verbose)))
    return 0


def _survey(paths: tuple[str, ...], format: str | None, fields: tuple[str, ...], *, scan: bool) -> dict[str, Any]:
    from gdist.data.survey import corpus, find, format_of, survey
    from gdist.display.scanning import scanning

    path = paths[0] if len(paths) == 1 else paths
    if format is None:
        files = find(path, storage=_storage(fields))
        format = format_of(files)
        if format == "text":
            return corpus(path, files)
    source = _source(path, format, fields)
    with scanning(format) as progress:
        return survey(source, scan=scan, progress=progress)


def _storage(fields: tuple[str, ...]) -> dict[str, Any]:
    from gdist.job.words import read_freely

    parts = [word.removeprefix("storage.").partition("=") for word in fields if word.startswith("storage.")]
    return {name: read_freely(text) for name, _, text in parts}


def _source(path: str | tuple[str, ...], format: str, fields: tuple[str, ...]) -> Table:
    from gdist.data import CSV, Arrow, JSONLines, Parquet
    from gdist.description import Wrong, nearest
    from gdist.job.words import read, read_freely

    kinds: dict[str, type[Table]] = {"parquet": Parquet, "arrow": Arrow, "csv": CSV, "json_lines": JSONLines}
    kind = kinds[format]
    values: dict[str, Any] = {"path": path}
    for word in fields:
        field, _, text = word.partition("=")
        name, _, key = field.partition(".")
        where = f"command line: {word}"
        if name not in kind.model_fields:
            near = nearest(name, kind.model_fields)
            mend = f"did you mean `{near}`?" if near else f"fields of {kind.__name__}: {', '.join(kind.model_fields)}"
            raise UsageError(f"unknown field `{name}`", where=where, help=mend)
        try:
            read_text = (
                {**values.get(name, {}), key: read_freely(text)} if key else read(text, kind.model_fields[name].annotation)
            )
        except (Wrong, ValueError) as error:
            help = kind.fields()[name]
            what = f"`{name}` must be {help.allowed}, not {text!r}"
            raise UsageError(what, where=where, help=f"{name} = {help.description}") from error
        values[name] = read_text
    return kind.model_validate(values, context={"where": f"command line: {' '.join(fields)}"})
