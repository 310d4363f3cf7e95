"""``gdist scale RUN N``: another number of workers while a run trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gdist.cli.arguments import one_word
from gdist.cli.group import verb
from gdist.errors import UsageError

_OPTIONS = (
    click.option("--runs", default="runs", show_default=True, metavar="DIR", help="Where runs lie."),
    click.option("--no-wait", is_flag=True, help="Ask, and do not wait until it is done."),
    click.option("--json", "as_json", is_flag=True, help="What has become of it as one JSON object on standard output."),
    click.option("-v", "--verbose", is_flag=True, help="Ray's own words, whole tracebacks."),
)


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a verb that changes a run's workers."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@verb(
    "scale",
    examples=[
        ("gdist scale digits 4", "four workers; a lost one is replaced"),
        ("gdist scale @ 1:8", "the newest run: from one to eight, as there is room"),
    ],
)
@click.argument("words", nargs=-1, metavar="RUN N|A:B")
@options
def command(words: tuple[str, ...], runs: str, no_wait: bool, as_json: bool, verbose: bool) -> int:
    """Have RUN (a name, the start of one, a path, or @ for the newest) train with N workers from now on, or with A to B.

    New workers are prepared while the others train, and join between two steps; the model does not change. Says when they took
    their first step, and what the pause was. Exit codes: 0 done, 1 it did not come to that, 2 it cannot be, 5 no such run.
    """
    from gdist.cli.changing import Wish, change
    from gdist.cli.running import Running, check_share
    from gdist.run.bounds import bounds
    from gdist.run.find import find_run

    name = one_word(words[:-1] if len(words) > 1 else words, what="run", example="gdist scale digits 4")
    if len(words) == 1:
        asked, mend = ("which run?", f"scale @ {name}") if name[0].isdigit() else ("how many workers?", f"scale {name} 4")
        raise UsageError(asked, where=f"command line: {name}", help=f"gdist {mend}")
    wanted = bounds(words[-1], where=f"command line: {words[-1]}")
    run = Running(find_run(name, root=runs))
    check_share(wanted, run)

    def ask(run: Running, controller: Any) -> Wish:
        controller.scale(wanted.least, wanted.most)
        return wanted.words, lambda asked: wanted.least <= len(asked.now) <= wanted.most

    return change([run], ask, wait=not no_wait, as_json=as_json, verbose=verbose)
