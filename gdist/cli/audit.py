"""``gdist audit RUN``: the proof that every sample was used exactly once in each epoch."""

from __future__ import annotations

import click

from gdist.cli.arguments import one_word
from gdist.cli.group import verb

_FAILED = 1


@verb(
    "audit",
    examples=[
        ("gdist audit digits", "was every sample used exactly once in each epoch?"),
        ("gdist audit @ --json", "the newest run, as one JSON object"),
    ],
)
@click.argument("words", nargs=-1, metavar="RUN")
@click.option("--runs", default="runs", show_default=True, metavar="DIR", help="Where runs lie.")
@click.option("--json", "as_json", is_flag=True, help="All that was found as one JSON object on standard output.")
@click.option("-v", "--verbose", is_flag=True, help="Whole tracebacks.")
def command(words: tuple[str, ...], runs: str, as_json: bool, verbose: bool) -> int:
    """Prove from RUN's ledger and from the data's index that in each epoch every sample was used exactly once.

    A step that changed nothing, bad rows that the job lets pass, and steps that were taken again after the run went back are
    told apart and are no fault. Exit codes: 0 proved, 1 a sample was lost or doubled, 2 the data has changed, 5 no such run.
    """
    from gdist.api import audit

    run = one_word(words, what="run", example="gdist audit digits")
    if not as_json:
        from gdist.display.audited import report

        found = audit(run, runs=runs)
        click.echo("\n".join(report(found)))
        return 0 if found["proved"] else _FAILED
    from gdist.display.stdout import JsonOutput

    output = JsonOutput()
    try:
        found = audit(run, runs=runs)
        output.write([found])
    finally:
        output.close()
    return 0 if found["proved"] else _FAILED
