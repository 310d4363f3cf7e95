"""From the bare words of a command line to a job and its overrides: ``a.b=c`` is an override, wherever it stands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from gdist.errors import UsageError

_OVERRIDE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*=", re.DOTALL)


def split_words(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """(the other words, the overrides), each in the order given."""
    overrides = tuple(word for word in words if _OVERRIDE.match(word))
    return [word for word in words if not _OVERRIDE.match(word)], overrides


def one_word(words: Sequence[str], *, what: str, example: str) -> str:
    """The one word that is wanted. Raises UsageError if there is none or more than one."""
    if not words:
        raise UsageError(f"which {what}?", help=f"name one: {example}")
    if len(words) > 1:
        near = [word for word in words[1:] if not word.endswith(".py")]
        mend = f"a field of the job is set with `=`: {near[0]}=VALUE" if near else f"give one: {example}"
        raise UsageError(f"one {what} is wanted, {len(words)} were given", where=f"command line: {' '.join(words)}", help=mend)
    return words[0]


def job_file(word: str) -> str:
    """The job file as given, once it is known to be there. Raises UsageError with the nearest file."""
    path = Path(word)
    if path.is_file():
        return word
    where = f"command line: {word}"
    if path.is_dir():
        found = sorted(str(each) for each in path.glob("*.py"))
        mend = f"name the file: {', '.join(found[:4])}" if found else "it holds no Python file"
        raise UsageError(f"`{word}` is a folder, not a job file", where=where, help=mend)
    raise UsageError(f"there is no job file `{word}`", where=where, help=_near(path))


def _near(path: Path) -> str:
    if not path.suffix and path.with_suffix(".py").is_file():
        return f"did you mean `{path.with_suffix('.py')}`?"
    known = {str(each) for folder in {path.parent, Path("jobs"), Path()} if folder.is_dir() for each in folder.glob("*.py")}
    by_name = {Path(each).name: each for each in known}
    close = difflib.get_close_matches(path.with_suffix(".py").name, by_name, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{by_name[close[0]]}`?"
    jobs = sorted(each for each in known if Path(each).parent == Path("jobs"))
    return f"jobs here: {', '.join(jobs[:6])}" if jobs else "a job file is Python that defines `job`"
