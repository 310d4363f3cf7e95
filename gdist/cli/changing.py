"""A change of workers from another terminal: asked for, then awaited, run by run. What ``scale`` and ``drain`` share."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

import click

from gdist.cli.exit_codes import DONE
from gdist.cli.running import Running
from gdist.display import words
from gdist.display.asked import Asked
from gdist.display.stdout import JsonOutput
from gdist.display.waiting import Waiting
from gdist.errors import RunNotFound

Wish = tuple[str, Callable[[Asked], bool]]  # what was asked for, and when it is there


def change(
    runs: Sequence[Running], ask: Callable[[Running, Any], Wish | None], *, wait: bool, as_json: bool, verbose: bool
) -> int:
    """Has ``ask`` talk to the controller of each run (None: there is nothing to ask of it), waits until all of it is there, and
    says what has become of it; the exit code."""
    output = JsonOutput() if as_json else None
    try:
        asked = []
        for run in runs:
            from gdist.cluster.reach import reach

            try:
                with reach(run.folder.path, verbose=verbose) as controller:
                    run.catch_up()
                    wish = ask(run, controller)
            except RunNotFound as error:
                if len(runs) == 1:
                    raise _out_of_reach(run, error) from error
                Waiting().say(f"{run.folder.name} is left out: {error.what}")
                continue
            if wish is not None:
                asked.append((run, *wish))
                if output is None:
                    click.echo(f"{run.folder.name}: asked for {wish[0]}; {words.plural(len(run.slots), 'worker')} now")
        for run, what, wanted in asked:
            found = run.wait(wanted, for_what=what) if wait else Asked(run.slots, wanted)
            if output is not None:
                output.write([{"run": run.folder.name, "asked": what, **found.to_dict()}])
            elif wait:
                click.echo(f"{run.folder.name}: {found.words()}")
    finally:
        if output is not None:
            output.close()
    return DONE


def _out_of_reach(run: Running, error: RunNotFound) -> RunNotFound:
    """``error`` as of the run, where it is of an address that nobody has typed."""
    if not (error.where or "").startswith("--address"):
        return error
    control = run.folder.control() or {}
    elsewhere = control.get("host") != socket.gethostname()
    return RunNotFound(
        f"run `{run.folder.name}` is out of reach: {error.what}",
        where=f"{run.folder.path}, Ray at {control.get('address')}",
        note=error.note,
        help=f"give the command on {control.get('host')}, where its controller is" if elsewhere else None,
    )
