"""``gdist evaluate RUN``: the loss and metrics of a trained run, on the rows that it held out or on others."""

from __future__ import annotations

from typing import Any

import click

from gdist.cli.arguments import one_word, split_words
from gdist.cli.group import verb
from gdist.cli.session import follow, options


def which(function: Any) -> Any:
    """The options that say which rows and which weights."""
    data = click.option("--data", metavar="PATH", help="Other rows, read as the job reads its own. Default: those held out.")
    checkpoint = click.option("--checkpoint", metavar="C", help="A step, or best. Default: the run's model, else the newest.")
    return data(checkpoint(function))


@verb(
    "evaluate",
    examples=[
        ("gdist evaluate digits", "on the rows that the run held out"),
        ("gdist evaluate @ --data new.parquet --metrics f1,auroc", "the newest run, on others"),
    ],
)
@click.argument("words", nargs=-1, metavar="RUN [a.b=c ...]")
@which
@click.option("--metrics", metavar="M,...", help="In place of the job's: accuracy, f1, auroc, rmse, r2 ...")
@options
def command(
    words: tuple[str, ...], data: str | None, checkpoint: str | None, metrics: str | None, runs: str, **how: object
) -> int:
    """Evaluate RUN (a name, the start of one, a path, or @ for the newest): loss and metrics over all rows, the same numbers
    with any number of workers.

    a.b=c changes the job, as in data.path=new.parquet. The run is only read; it may still be training. Each worker computes
    with one thread unless threads=N says otherwise.
    """
    from gdist.run.ask import order_to

    others, overrides = split_words(words)
    run = one_word(others, what="run", example="gdist evaluate digits")
    order = order_to(
        "evaluate", run, runs=runs, data=data, overrides=overrides, checkpoint=checkpoint,
        metrics=metrics.split(",") if metrics else (),
    )  # fmt: skip
    return follow(order, **how)  # type: ignore[arg-type]
