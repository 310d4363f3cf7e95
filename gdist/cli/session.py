"""A run as the command line sees it: display, Ctrl-C, summary, exit code. What ``train`` and ``resume`` share."""

from __future__ import annotations

import os
import threading
from bdb import BdbQuit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gdist.cli.exit_codes import DONE, INTERRUPTED, STOPPED, exit_code
from gdist.display.choose import Display, choose_display
from gdist.display.failure import print_error
from gdist.errors import DataError, GdistError, UsageError
from gdist.records import Interrupt, Order

_DEFAULT = "Default: one per GPU, or a few for the cores."
_OPTIONS = (
    click.option("--local", is_flag=True, help="One process, no Ray: breakpoint() works."),
    click.option("--address", metavar="A", help="A running Ray cluster. Default: RAY_ADDRESS, else Ray on this machine."),
    click.option("--runs", default="runs", show_default=True, metavar="DIR", help="Where runs lie."),
    click.option("--json", "as_json", is_flag=True, help="Events as JSON lines on standard output, and nothing else there."),
    click.option("--plain", is_flag=True, help="Lines of text instead of the live display."),
    click.option("-v", "--verbose", is_flag=True, help="Show what is folded away: Ray's own words, whole tracebacks."),
)


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a verb whose workers are as many until its end."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return click.option("--workers", metavar="N", help=f"How many workers. {_DEFAULT}")(function)


def training_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a verb whose workers may change meanwhile."""
    for option in reversed(_OPTIONS):
        function = option(function)
    words = f"How many workers, or from A to B, as there is room. {_DEFAULT}"
    return click.option("--workers", metavar="N|A:B", help=words)(function)


def follow(
    order: Order, *, workers: str | None, local: bool, address: str | None, as_json: bool, plain: bool, verbose: bool
) -> int:
    """Does what ``order`` asks and shows it; the exit code."""
    from gdist.api import launch
    from gdist.display.answer import answer
    from gdist.display.attend import attending
    from gdist.display.signals import GRACE_S
    from gdist.display.summary import summary

    if as_json and plain:
        raise UsageError("--json and --plain are two ways to print", help="leave one of the two out")
    interrupt, ended = Interrupt(), threading.Event()
    display = choose_display(json=as_json, plain=plain)

    def at_once(signals: object) -> None:
        if local or not ended.wait(GRACE_S):  # a driver ends its workers first
            _leave_now(display, order)

    result: dict[str, Any] = {}
    try:
        with attending(display, interrupt, at_once=at_once):
            if local:
                start_sooner()
            result = launch(
                order, workers=workers, address=address, local=local, watch=display, interrupt=interrupt, verbose=verbose
            )
    except GdistError as error:
        if not interrupt.now.is_set():
            follows = None if isinstance(error, DataError) else _next_step(display)  # the same data would fail again
            print_error(error, verbose=verbose, next_step=follows)
            return exit_code(error, began=display.standing.began)
    except (KeyboardInterrupt, BdbQuit):  # out of a debugger
        interrupt.now.set()
    finally:
        ended.set()
    if interrupt.now.is_set() and result.get("status") != "done":
        _say_interrupted(display)
        return INTERRUPTED
    if not as_json:
        click.echo("\n".join(summary(result, display.standing) if order.purpose == "train" else answer(result)))
    return DONE if result["status"] == "done" else STOPPED


def start_sooner() -> None:
    """For a process that trains itself: a second of imports less."""
    from gdist.worker.dynamo import import_compiler_late

    import_compiler_late()


def _leave_now(display: Display, order: Order) -> None:
    """From the signals' thread, while the main one is busy: no clean-up that could wait for it."""
    from gdist.run.predictions import discard

    discard(order.out)
    closing = threading.Thread(target=display.close, daemon=True)
    closing.start()
    closing.join(1.0)
    _say_interrupted(display)
    os._exit(INTERRUPTED)


def _say_interrupted(display: Display) -> None:
    print_error(GdistError("interrupted", help=_next_step(display)))


def _next_step(display: Display) -> str | None:
    """How to go on with a run that has a checkpoint."""
    from gdist.display.summary import how_to_resume, saved_step
    from gdist.run.folder import RunFolder

    if display.standing.run_dir is None:
        return None
    run = RunFolder(Path(display.standing.run_dir))
    step = saved_step(run, display.standing)
    return None if step is None else f"go on from step {step}: {how_to_resume(run)}"
