"""``gdist drain WORKER|NODE``: workers leave at the end of their step, as before a machine goes away."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gdist.cli.arguments import one_word
from gdist.cli.group import verb
from gdist.cli.scale import options
from gdist.errors import GdistError, UsageError

if TYPE_CHECKING:
    from gdist.cli.running import Running
    from gdist.display.asked import Asked

_WORKER = re.compile(r"worker[- ]?(\d+)")
_SHOWN = 8  # workers in an error


@verb(
    "drain",
    examples=[
        ("gdist drain gpu-b", "all that trains on this machine leaves it"),
        ("gdist drain digits worker-1", "one worker of one run"),
    ],
)
@click.argument("words", nargs=-1, metavar="[RUN] WORKER|NODE")
@options
def command(words: tuple[str, ...], runs: str, no_wait: bool, as_json: bool, verbose: bool) -> int:
    """Have a worker (worker-1), or all on a node of the cluster (its name, its address, or how its id begins), leave at the end
    of the step that they are in: of RUN, or of all runs under DIR.

    Nothing is lost: the others go on, others take their places where there is room, and the last one writes a checkpoint first.
    On a drained node none is started again where another has room. Exit codes as those of gdist scale.
    """
    from gdist.cli.changing import Wish, change
    from gdist.cli.running import Running
    from gdist.display.changes import slots
    from gdist.run.find import find_run
    from gdist.run.folder import RunFolder

    who = one_word(words[1:] if len(words) > 1 else words, what="worker or node", example="gdist drain digits worker-1")
    if len(words) > 1:
        concerned = [Running(find_run(words[0], root=runs))]
    elif _WORKER.fullmatch(who):
        raise UsageError("of which run?", where=f"command line: {who}", help=f"gdist drain @ {who}, for the newest")
    else:
        concerned = _all_running(runs)

    met: list[str] = []  # all workers there are
    leaving: list[int] = []

    def ask(run: Running, controller: Any) -> Wish | None:
        met.extend(f"worker {each['worker']} on {each['host']}" for each in controller.describe()["workers"])
        gone = set(controller.drain(who))
        leaving.extend(gone)

        def left(asked: Asked) -> bool:
            return asked.waiting is not None or asked.left.keys() >= gone.intersection(asked.before)

        return (f"{slots(gone)} to leave", left) if gone else None

    code = change(concerned, ask, wait=not no_wait, as_json=as_json, verbose=verbose)
    if not leaving:
        there = ", ".join(met[:_SHOWN]) or "nobody trains"
        raise UsageError(
            f"there is no worker `{who}`, and none on a node of that name",
            where=str(runs),
            note=there,
            help=f"of one run: gdist drain {who} worker-1" if RunFolder.is_run(Path(runs, who)) else None,
        )
    return code


def _all_running(root: str) -> list[Running]:
    """The runs under ``root`` that train right now, on Ray."""
    from gdist.cli.running import Running
    from gdist.run.find import list_runs

    found = []
    for folder in list_runs(root):
        with contextlib.suppress(GdistError):
            found.append(Running(folder, restart_s=0.0))
    return found
