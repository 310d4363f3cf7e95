"""``gdist train JOB``: from a job file to a trained model."""

from __future__ import annotations

import time

import click

from gdist.cli.arguments import job_file, one_word, split_words
from gdist.cli.group import verb
from gdist.cli.session import follow, training_options
from gdist.errors import UsageError
from gdist.records import Order


@verb(
    "train",
    examples=[
        ("gdist train jobs/digits.py --workers 2 epochs=5", "two workers, five epochs"),
        ("gdist train jobs/digits.py --workers 1:8", "what the cluster can give, from one to eight"),
        ("gdist train jobs/digits.py --local optimizer.lr=0.003", "one process, without Ray"),
    ],
)
@click.argument("words", nargs=-1, metavar="JOB [a.b=c ...]")
@click.option("--name", metavar="N", help="The run's name. Default: the job's, numbered when it repeats.")
@click.option("--run-dir", metavar="D", help="The run's folder itself, instead of DIR/NAME.")
@training_options
def command(words: tuple[str, ...], name: str | None, run_dir: str | None, runs: str, **how: object) -> int:
    """Train JOB, a Python file that defines `job`. Any field of it is set by a.b=c, anywhere on the line.

    Ctrl-C once ends at the next step with a checkpoint, twice at once. Exit codes: 0 done, 1 the run failed, 2 the command or
    the job is wrong, 3 stopped early by somebody, 130 interrupted.
    """
    started = time.time()
    others, overrides = split_words(words)
    if name is not None and run_dir is not None:
        raise UsageError("--name and --run-dir both say where the run lies", help="leave one of the two out")
    job = job_file(one_word(others, what="job", example="gdist train jobs/digits.py"))
    order = Order(job_file=job, overrides=overrides, runs_root=runs, name=name, run_dir=run_dir, started=started)
    return follow(order, **how)  # type: ignore[arg-type]
