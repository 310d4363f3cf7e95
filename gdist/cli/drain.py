"""``gdist drain WORKER|NODE``: workers leave at the end of their step, as before a machine goes away."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from gdist.cli.arguments import one_word
from gdist.cli.group import verb
from gdist.cli.scale import options
from gdist.errors import GdistError, UsageError

if TYPE_CHECKING:
    from gdist.cli.running import Running

_WORKER = re.compile(r"worker[- ]?(\d+)")
_NODE_LETTERS = 4  # of a node's id, at least
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
    On a drained node no worker is started again. Exit codes as those of gdist scale.
    """
    from gdist.cli.changing import Wish, change
    from gdist.cli.running import Running
    from gdist.display.changes import slots as named
    from gdist.run.find import find_run

    who = one_word(words[1:] if len(words) > 1 else words, what="worker or node", example="gdist drain digits worker-1")
    if len(words) > 1:
        concerned = [Running(find_run(words[0], root=runs))]
    elif _WORKER.fullmatch(who):
        raise UsageError("of which run?", where=f"command line: {who}", help=f"gdist drain @ {who}, for the newest")
    else:
        concerned = _all_running(runs)

    met: list[dict[str, Any]] = []  # all workers there are
    leaving: list[int] = []

    def ask(run: Running, controller: Any) -> Wish | None:
        workers = controller.describe()["workers"]
        slots = meant(who, workers)
        met.extend(workers)
        leaving.extend(slots)
        if not slots:
            return None
        controller.drain(who)
        return f"{named(slots)} to leave", lambda asked: asked.left.keys() >= set(slots)

    code = change(concerned, ask, wait=not no_wait, as_json=as_json, verbose=verbose)
    if not leaving:
        there = ", ".join(f"worker {each['worker']} on {each['host']}" for each in met[:_SHOWN]) or "nobody trains"
        raise UsageError(f"there is no worker `{who}`, and none on a node of that name", where=str(runs), note=there)
    return code


def meant(who: str, workers: Iterable[dict[str, Any]]) -> list[int]:
    """The slots of those among ``workers`` (worker, host, address, node) that are called ``who`` or are on the node ``who``."""
    named = _WORKER.fullmatch(who)
    if named is not None:
        return [each["worker"] for each in workers if each["worker"] == int(named[1])]
    return [each["worker"] for each in workers if _is_on(who, each)]


def _is_on(node: str, worker: dict[str, Any]) -> bool:
    host, identity = str(worker.get("host")), str(worker.get("node"))
    begins = len(node) >= _NODE_LETTERS and identity.startswith(node)
    return begins or node in (host, host.partition(".")[0], worker.get("address"))


def _all_running(root: str) -> list[Running]:
    """The runs under ``root`` that train right now, on Ray."""
    from gdist.cli.running import Running
    from gdist.run.find import list_runs

    found = []
    for folder in list_runs(root):
        with contextlib.suppress(GdistError):
            found.append(Running(folder, restart_s=0.0))
    return found
