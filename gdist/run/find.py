"""From what a user types to a run: a path, a name, the start of one, or ``@`` for the newest."""

from __future__ import annotations

import difflib
from pathlib import Path

from gdist.errors import RunNotFound
from gdist.run.folder import RunFolder

NEWEST = ("@", "last")


def find_run(text: str | Path, *, root: str | Path = "runs") -> RunFolder:
    """The run meant by ``text``. Raises RunNotFound with the nearest names, or the names that begin alike."""
    words = str(text)
    runs = {folder.name: folder for folder in list_runs(root)}
    if words in NEWEST:
        if not runs:
            raise RunNotFound("there is no run yet", where=str(root), help="train one: gdist train jobs/digits.py")
        return max(runs.values(), key=_began)
    if words in runs:
        return runs[words].begun()
    if RunFolder.is_run(Path(words)):
        return RunFolder(Path(words)).begun()
    alike = sorted(name for name in runs if words and name.startswith(words))
    if len(alike) == 1:
        return runs[alike[0]].begun()
    if alike:
        raise RunNotFound(
            f"`{words}` begins the names of {len(alike)} runs", where=str(root), help="say which: " + _some(alike)
        )
    near = difflib.get_close_matches(words, runs, n=3, cutoff=0.5)
    if near:
        mend = "did you mean " + " or ".join(f"`{name}`" for name in near) + "?"
    elif runs:
        mend = "the newest runs: " + _some(sorted(runs, key=lambda name: -_began(runs[name])))
    else:
        mend = "there is no run in that folder; name another with --runs DIR, or give the run's path"
    raise RunNotFound(f"no run `{words}`", where=str(root), help=mend)


def list_runs(root: str | Path = "runs") -> list[RunFolder]:
    """All runs under ``root``, by name."""
    try:
        paths = sorted(Path(root).iterdir())
    except OSError:
        return []
    return [RunFolder(path) for path in paths if RunFolder.is_run(path)]


def _began(run: RunFolder) -> float:
    for name in ("job.json", "events.jsonl", "."):
        try:
            return (run.path / name).stat().st_mtime
        except OSError:
            continue
    return 0.0


def _some(names: list[str], limit: int = 6) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
