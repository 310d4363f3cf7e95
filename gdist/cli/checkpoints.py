"""``gdist checkpoints RUN``: which checkpoints a run has, and whether they are good."""

from __future__ import annotations

from typing import Any

import click

from gdist.cli.arguments import one_word
from gdist.cli.group import verb

_DAMAGED = 1


@verb(
    "checkpoints",
    examples=[
        ("gdist checkpoints digits", "step, age, size and metrics of each"),
        ("gdist checkpoints @ --verify", "is every byte as it was written?"),
    ],
)
@click.argument("words", nargs=-1, metavar="RUN")
@click.option("--verify", is_flag=True, help="Read all of them, and compare every file's hash.")
@click.option("--name", metavar="N", help="Keep the newest good one for good, under this name.")
@click.option("--step", metavar="S", type=int, help="With --name: the one of this step.")
@click.option("--runs", default="runs", show_default=True, metavar="DIR", help="Where runs lie.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("-v", "--verbose", is_flag=True, help="Whole tracebacks.")
def command(
    words: tuple[str, ...], verify: bool, name: str | None, step: int | None, runs: str, as_json: bool, verbose: bool
) -> int:
    """List the checkpoints of RUN (a name, the start of one, a path, or @ for the newest), the oldest first. The run may be
    going on.

    Exit codes: 0 all that was looked at is good, 1 one is damaged (which, and where, is said), 5 no such run.
    """
    from gdist.run.find import find_run
    from gdist.run.listed import keep_as, listed

    run = find_run(one_word(words, what="run", example="gdist checkpoints digits"), root=runs)
    if name is not None or step is not None:
        keep_as(run, name, step=step)
    if not as_json:
        from gdist.display.checkpoints import report

        found = listed(run, verify=verify)
        click.echo("\n".join(report(found)))
        return _code(found)
    from gdist.display.stdout import JsonOutput

    output = JsonOutput()
    try:
        found = listed(run, verify=verify)
        output.write([found])
    finally:
        output.close()
    return _code(found)


def _code(found: dict[str, Any]) -> int:
    return _DAMAGED if any(each["damage"] for each in found["checkpoints"]) else 0
