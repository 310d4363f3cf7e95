"""``gdist`` and its verbs as click commands: each verb's module is imported only when it runs, so ``gdist --help`` is at once.

To add a verb: a file beside these with ``command``, and a line in ``VERBS``.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import click

from gdist.errors import UsageError

VERBS = {  # name -> (one line, module)
    "train": ("Train here; Ctrl-C once: checkpoint and stop, twice: stop now", "gdist.cli.train"),
    "resume": ("Go on with a run from its newest good checkpoint", "gdist.cli.resume"),
    "scale": ("Change how many workers a run has while it trains", "gdist.cli.scale"),
    "drain": ("Have a worker, or all on a node, leave at the end of their step", "gdist.cli.drain"),
    "evaluate": ("Loss and metrics of a trained run, on its held-out rows or others", "gdist.cli.evaluate"),
    "predict": ("What a trained run says of each row, as a file", "gdist.cli.predict"),
    "data": ("Say what is in files of data, and how a job could name it", "gdist.cli.data"),
    "check": ("Say what would run, and what is wrong with it, without training", "gdist.cli.check"),
    "checkpoints": ("List a run's checkpoints; --verify: is every byte as it was?", "gdist.cli.checkpoints"),
    "audit": ("Prove that a run used every sample exactly once in each epoch", "gdist.cli.audit"),
}
_WIDTH = 80
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": _WIDTH}


class Verb(click.Command):
    """A command whose help opens with examples: (command line, what it does)."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        kwargs["context_settings"] = _SETTINGS
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max((len(line) for line, _ in self.examples), default=0)
        for line, why in self.examples:
            formatter.write(f"  {line:<{width}}   # {why}\n" if width + len(why) + 7 <= _WIDTH else f"  {line}\n      {why}\n")
        formatter.write("\n")
        super().format_help(ctx, formatter)


class Verbs(click.Group):
    """The group: lists verbs without importing them, and names the nearest one for a word it does not know."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        found: click.Command = importlib.import_module(VERBS[cmd_name][1]).command
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise _unknown(args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, words) for name, (words, _) in VERBS.items()])

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("  gdist train jobs/digits.py --workers 2 epochs=5\n  gdist check jobs/digits.py\n\n")
        super().format_help(ctx, formatter)


def _unknown(word: str) -> UsageError:
    where = f"command line: gdist {word}"
    if word.endswith(".py"):
        return UsageError("a verb comes first", where=where, help=f"to train it: gdist train {word}")
    close = difflib.get_close_matches(word, VERBS, n=1, cutoff=0.5)
    mend = f"did you mean `gdist {close[0]}`?" if close else f"the verbs: {', '.join(VERBS)}"
    return UsageError(f"unknown verb `{word}`", where=where, help=mend)


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings=_SETTINGS,
)
@click.option("--version", is_flag=True, help="Print gdist's version.")
@click.pass_context
def verbs(ctx: click.Context, version: bool) -> None:
    """Train a PyTorch model on any number of workers, and get the same model.

    Each verb explains itself: gdist train --help
    """
    if version:
        from importlib.metadata import version as version_of

        click.echo(f"gdist {version_of('gdist')}")
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def verb(name: str, *, examples: Sequence[tuple[str, str]]) -> Callable[[Callable[..., Any]], click.Command]:
    """Makes a function a verb."""

    def made(function: Callable[..., Any]) -> click.Command:
        return click.command(name, cls=Verb, examples=examples)(function)

    return made
