"""``gdist check JOB``: what would run, found without training and without Ray."""

from __future__ import annotations

from typing import Any

import click

from gdist.cli.arguments import job_file, one_word, split_words
from gdist.cli.group import verb
from gdist.errors import UsageError
from gdist.records import Order


@verb(
    "check",
    examples=[
        ("gdist check jobs/digits.py batch_size=256", "what would run, and how it is shared"),
        ("gdist check jobs/digits.py --fields optimizer", "what can be set there"),
    ],
)
@click.argument("words", nargs=-1, metavar="JOB [a.b=c ...]")
@click.option("--plan", "as_plan", is_flag=True, help="Print the job as resolved: every field, with its value.")
@click.option("--fields", "as_fields", is_flag=True, help="Print what can be set in the job, or in the part named after it.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object on standard output.")
@click.option("-v", "--verbose", is_flag=True, help="Whole tracebacks.")
def command(words: tuple[str, ...], as_plan: bool, as_fields: bool, as_json: bool, verbose: bool) -> int:
    """Validate JOB: its fields, its model, its data, and one micro-batch through forward, loss and backward.

    Says how many parameters and steps there are, how much memory it takes, and which numbers of workers share the work evenly.
    """
    others, overrides = split_words(words)
    if as_fields:
        if as_plan or as_json:
            raise UsageError("--fields prints text of its own", help="leave --plan and --json out")
        return _print_fields(others, overrides)
    file = job_file(one_word(others, what="job", example="gdist check jobs/digits.py"))
    found = _check(Order(job_file=file, overrides=overrides), as_json=as_json, as_plan=as_plan)
    if not as_json:
        from gdist.display.checked import plan, report

        click.echo("\n".join(plan(found) if as_plan else report(found, job_file=" ".join((file, *overrides)))))
    return 0


def _check(order: Order, *, as_json: bool, as_plan: bool) -> dict[str, Any]:
    from gdist.cli.session import start_sooner
    from gdist.worker.check import check_job

    start_sooner()
    if not as_json:
        return check_job(order)
    from gdist.display.stdout import JsonOutput

    output = JsonOutput()
    try:
        found = check_job(order)
        output.write([found["plan"] if as_plan else found])
        return found
    finally:
        output.close()


def _print_fields(others: list[str], overrides: tuple[str, ...]) -> int:
    """``others``: a job file, a part (``optimizer``), both, or neither."""
    from gdist.data.split import Split
    from gdist.description import Description, unknown
    from gdist.display.fields import field_lines
    from gdist.job import Clip, Job

    files, parts = [w for w in others if w.endswith(".py")], [w for w in others if not w.endswith(".py")]
    kinds: dict[str, Any] = {name: field.default for name, field in Job.model_fields.items()}
    kinds |= {"validation": Split(share=0.1), "clip": Clip(norm=1)}
    if files:
        from gdist.job.load import load_job

        kinds |= {
            name: value for name, value in load_job(job_file(files[0]), overrides=overrides) if isinstance(value, Description)
        }
    kinds = {name: value for name, value in kinds.items() if isinstance(value, Description)}
    if not parts:
        click.echo("\n".join([*field_lines(Job.fields()), f"fields of a part: --fields {' | '.join(kinds)}"]))
        return 0
    part = one_word(parts, what="part", example="gdist check --fields optimizer")
    if part not in kinds:
        what, mend = unknown("part", part, list(kinds), plural="parts with fields")
        raise UsageError(what, where=f"command line: --fields {part}", help=mend)
    click.echo("\n".join(field_lines(type(kinds[part]).fields(), prefix=f"{part}.")))
    return 0
