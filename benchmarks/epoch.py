"""One process of one way to read: ``python benchmarks/epoch.py own.shuffled FOLDER ROWS MEMORY --result FILE`` (of data.py).

It is warmed up on files of a sixteenth of the size; then one epoch is timed, after all that its reader prepares.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path

from samples import Samples


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("reader", help="MODULE.FUNCTION of readers/")
    parse.add_argument("folder", type=Path)
    parse.add_argument("rows", type=int)
    parse.add_argument("memory", type=int, help="bytes")
    parse.add_argument("--result", type=Path, required=True)
    given = parse.parse_args()
    module, function = given.reader.split(".")
    prepare = getattr(importlib.import_module(f"readers.{module}"), function)
    samples = Samples(given.folder, given.rows, given.memory)
    prepare(samples.small)()
    epoch = prepare(samples)
    begun = time.perf_counter()
    count = epoch()
    seconds = time.perf_counter() - begun
    given.result.write_text(json.dumps({"count": count, "seconds": seconds, "rate": count / seconds}))


if __name__ == "__main__":
    main()
