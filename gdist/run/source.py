"""``source/``: the job's own code as it was when the run began.

The job file and the modules under its folder that it has imported are copied with their places kept, and
``hashes.json`` (written last) says what they were. Later commands load the copy, never the original.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gdist.durable import sha256_of, write_whole
from gdist.errors import JobError
from gdist.run.lines import to_json

HASHES = "hashes.json"
_NOT_LOCAL = {"site-packages", "dist-packages", "node_modules", "__pycache__"}


def copy_source(job_file: Path, into: Path) -> None:
    """Copies ``job_file`` and its local modules below ``into``. Call it when the job is loaded: it looks in sys.modules."""
    job_file = job_file.resolve()
    if job_file.parent == into.resolve():
        return  # a resumed run: its source is this folder already
    hashes = {}
    for path in local_files(job_file):
        place = path.relative_to(job_file.parent)
        target = into / place
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, path.read_bytes())
        hashes[place.as_posix()] = sha256_of(target)
    content = {"job": job_file.name, "original": str(job_file), "sha256": hashes}
    write_whole(into / HASHES, (to_json(content, indent=2) + "\n").encode())


def local_files(job_file: Path) -> list[Path]:
    """The job file, then the files of loaded modules below its folder; installed packages and gdist itself are not local."""
    folder = job_file.parent
    found = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or name.partition(".")[0] == "gdist":
            continue
        path = Path(file).resolve()
        if path.suffix == ".py" and path.is_relative_to(folder) and _is_own(path.relative_to(folder)) and path.is_file():
            found.add(path)
    found.discard(job_file)
    return [job_file, *sorted(found)]


def verified_job_file(source: Path) -> Path | None:
    """The job file inside ``source``; None if there is none. Raises JobError that names what was changed or is gone."""
    if not (source / HASHES).is_file():
        return None
    content = json.loads((source / HASHES).read_bytes())
    for place, expected in content["sha256"].items():
        path = source / place
        if not path.is_file():
            raise JobError(f"the run's copy of `{place}` is gone", where=str(path), help=_mend(content))
        if sha256_of(path) != expected:
            raise JobError(f"the run's copy of `{place}` was changed since the run began", where=str(path), help=_mend(content))
    return source / str(content["job"])


def _is_own(place: Path) -> bool:
    return not any(part in _NOT_LOCAL or part.startswith(".") for part in place.parts)


def _mend(content: dict[str, object]) -> str:
    return f"put the file back as it was, or begin a new run: gdist train {content['original']}"
