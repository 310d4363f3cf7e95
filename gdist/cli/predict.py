"""``gdist predict RUN``: what a trained run says of each row, as one file."""

from __future__ import annotations

import click

from gdist.cli.arguments import one_word, split_words
from gdist.cli.evaluate import which
from gdist.cli.group import verb
from gdist.cli.session import follow, options


@verb(
    "predict",
    examples=[
        ("gdist predict digits --data new.parquet --out predictions.parquet", "a row for each row"),
        ("gdist predict @ --data new/ --out says.csv --keep id", "the newest run; with a column of the data"),
    ],
)
@click.argument("words", nargs=-1, metavar="RUN [a.b=c ...]")
@which
@click.option("--out", metavar="FILE", required=True, help="What to write: .parquet, .arrow, .csv or .jsonl.")
@click.option("--force", is_flag=True, help="Write over FILE if it is there.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="A column of the data to write too; may be given again.")
@options
def command(
    words: tuple[str, ...],
    data: str | None,
    checkpoint: str | None,
    out: str,
    force: bool,
    keep: tuple[str, ...],
    runs: str,
    **how: object,
) -> int:
    """Predict with RUN (a name, the start of one, a path, or @ for the newest): FILE has the rows of the data in their order,
    the same with any number of workers, and appears when it is whole.

    Columns: row (from 0), prediction (a class, a number, or a list of numbers), probability (of that class). A bad row that
    the data lets pass has null. The data needs no target.
    """
    from gdist.run.ask import order_to

    others, overrides = split_words(words)
    run = one_word(others, what="run", example="gdist predict digits --data new.parquet --out predictions.parquet")
    order = order_to(
        "predict", run, runs=runs, data=data, overrides=overrides, checkpoint=checkpoint, out=out, force=force, keep=keep
    )
    return follow(order, **how)  # type: ignore[arg-type]
