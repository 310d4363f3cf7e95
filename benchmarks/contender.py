"""One process of one contender: ``python benchmarks/contender.py ddp_tuned mlp --result FILE`` (started by step.py)."""

from __future__ import annotations

import argparse
import importlib

from stopwatch import Stopwatch
from workloads import WORKLOADS


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("contender")
    parse.add_argument("workload", choices=WORKLOADS)
    parse.add_argument("--result", help="where worker 0 writes its time as JSON")
    given = parse.parse_args()
    name = given.contender.removesuffix("_tuned")
    workload = WORKLOADS[given.workload]
    watch = Stopwatch.of(workload, path=given.result)
    importlib.import_module(f"contenders.{name}").train(workload, watch, tuned=name != given.contender)


if __name__ == "__main__":
    main()
