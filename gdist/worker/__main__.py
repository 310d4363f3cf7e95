"""A run under torchrun, without Ray:

    torchrun --nproc-per-node 2 -m gdist.worker jobs/digits.py [--name N] [--runs DIR] [a.b=c ...]
    torchrun --nproc-per-node 2 -m gdist.worker evaluate RUN [--data PATH] [a.b=c ...]
    torchrun --nproc-per-node 2 -m gdist.worker predict RUN [--data PATH] --out predictions.parquet [--force] [a.b=c ...]

Rank 0 writes the run folder and prints; each process is a worker of one generation.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gdist.errors import GdistError, UsageError
from gdist.records import Order, Update, Wishes
from gdist.run.ask import order_to
from gdist.worker.local import failure, open_folder
from gdist.worker.member import make_member


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gdist.worker", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("job", metavar="JOB | evaluate RUN | predict RUN")
    parser.add_argument("words", nargs="*", metavar="a.b=c")
    parser.add_argument("--name")
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--run-dir")
    parser.add_argument("--data")
    parser.add_argument("--out")
    parser.add_argument("--force", action="store_true")
    given = parser.parse_intermixed_args()
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    try:
        work(_order(given), rank=rank, size=size)
    except GdistError as error:
        print(f"error: worker {rank}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def _order(given: argparse.Namespace) -> Order:
    words = tuple(given.words)
    if given.job == "predict" and not given.out:
        raise UsageError("where should the predictions go?", help="--out predictions.parquet")
    if given.job in ("evaluate", "predict"):
        if not words or "=" in words[0]:
            raise UsageError("which run?", help=f"name it: {given.job} RUN")
        return order_to(
            given.job, words[0], runs=given.runs, data=given.data, overrides=words[1:], out=given.out, force=given.force
        )
    return Order(job_file=given.job, overrides=words, name=given.name, runs_root=given.runs, run_dir=given.run_dir)


def work(order: Order, *, rank: int, size: int) -> dict[str, Any]:
    """This process's part of the run, among the ``size`` that torchrun has started. Raises GdistError."""
    from gdist.worker.machine import keep_freed_memory
    from gdist.worker.torchrun import first_membership, own_host

    keep_freed_memory()
    wishes = Wishes()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: wishes.add("stop", reason="asked to stop by a signal"))
    folder = None

    def send(update: Update) -> None:
        if folder is not None:
            folder.append_events(update.events)
            folder.append_ledger(update.ledger)
            folder.append_metrics(update.lines)
        for each in update.events:
            if each["event"] in ("started", "opened", "evaluation", "stopping", "explained", "skipped_step"):
                text = {k: v for k, v in each.items() if k not in ("event", "time", "monotonic")}
                print(f"{each['event']}: {json.dumps(text)}", flush=True)

    member = make_member(order, slot=rank, send=send, wishes=wishes)
    try:
        hello = member.prepare(host=own_host() if size > 1 else None)
        if rank == 0:
            folder = open_folder(order, member.name)
        membership = first_membership(hello["door"], rank=rank, size=size)
        member.join(replace(membership, run_dir=str(folder.path) if folder else None))
        result = member.work()
        assert isinstance(result, dict), "nobody changes the members of a run under torchrun"
        if rank == 0:
            result["wall_seconds"] = time.time() - order.started
            if folder is not None:
                folder.write_result(result)
            print(f"finished: {json.dumps(result)}", flush=True)
        return result
    except GdistError as error:
        if folder is not None and member.step:
            with suppress(GdistError):  # what went wrong first is what is told
                member.save()
            folder.write_result(failure(error, member.step, folder))
        raise
    finally:
        member.close()


if __name__ == "__main__":
    sys.exit(main())
