"""``gdist``: runs a verb and turns whatever comes of it into one message and one exit code.

0 done, 1 the run failed, 2 the command or the job is wrong, 3 stopped early by somebody, 5 no such run, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from gdist.cli.exit_codes import DONE, INTERRUPTED, exit_code
from gdist.cli.group import verbs
from gdist.display.failure import print_error
from gdist.errors import GdistError, UsageError


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of ``gdist ARGUMENTS`` (default: this process's own)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "-v" in words or "--verbose" in words
    try:
        code = verbs.main(args=words, prog_name="gdist", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except click.ClickException as error:
        print_error(_usage(error, words))
        return UsageError.exit_code
    except GdistError as error:
        print_error(error, verbose=verbose)
        return exit_code(error, began=False)
    except (KeyboardInterrupt, click.Abort):
        print_error(GdistError("interrupted"))
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again at exit
        return 1
    except Exception as error:  # the process's edge
        print_error(error, verbose=verbose)
        return 1


def _usage(error: click.ClickException, words: Sequence[str]) -> UsageError:
    """click's complaint in gdist's shape, with the nearest name."""
    what = error.format_message().strip().rstrip(".")
    what = what[:1].lower() + what[1:]
    where = f"command line: gdist {' '.join(words)}"
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "gdist"
    mend = f"all options: {path} --help"
    if isinstance(error, click.NoSuchOption):
        what = f"unknown option `{error.option_name}`"
        near = sorted(error.possibilities or ())
        if near:
            mend = f"did you mean {' or '.join(f'`{name}`' for name in near[:3])}? {mend}"
    return UsageError(what, where=where, help=mend)
