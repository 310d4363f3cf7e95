"""``gdist resume RUN``: the next step of a run that was stopped, killed or has more to do."""

from __future__ import annotations

import click

from gdist.cli.arguments import one_word, split_words
from gdist.cli.group import verb
from gdist.cli.session import follow, training_options


@verb(
    "resume",
    examples=[
        ("gdist resume digits --workers 4", "go on, with other workers than before"),
        ("gdist resume @ epochs=20 optimizer.lr=1e-4", "the newest run: more epochs, a lower rate"),
        ("gdist resume digits data.path=more.parquet --accept data", "go on with other data"),
    ],
)
@click.argument("words", nargs=-1, metavar="RUN [a.b=c ...]")
@click.option("--accept", metavar="A,...", default="", help="What may differ: model, data, job, or one field of the job.")
@training_options
def command(words: tuple[str, ...], accept: str, runs: str, **how: object) -> int:
    """Go on with RUN (a name, the start of one, a path, or @ for the newest) at the step after its newest good checkpoint.

    The loss is the one that the uninterrupted run would have had. a.b=c changes the job where the saved state keeps its
    meaning; a changed optimizer starts with fresh state. Another model, other data, or another field of those that the state
    follows from is refused, with the differences, unless --accept names it: what fits is taken, the rest starts fresh.
    """
    from gdist.api import resume_order

    others, overrides = split_words(words)
    accepted = [word.strip() for word in accept.split(",") if word.strip()]
    run = one_word(others, what="run", example="gdist resume digits")
    return follow(resume_order(run, overrides=overrides, runs=runs, accept=accepted), **how)  # type: ignore[arg-type]
