"""Runs a function as several real processes that are joined by Gloo, and gives back what each returned."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from typing import Any

DEADLINE_S = 60


def run_ranks(function: Callable[..., Any], size: int, *args: Any) -> list[Any]:
    """``function(collective, *args)`` in ``size`` processes (this one only where ``size`` is 1)."""
    if size == 1:
        from gdist.engine.collective import Alone

        return [function(Alone(), *args)]
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for rank in range(size):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_rank, args=(theirs, function, rank, size, store.port, args))
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        answers = [pipe.recv() if pipe.poll(DEADLINE_S) else ("error", "no answer in time") for pipe in pipes]
    finally:
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()
    for kind, value in answers:
        if kind == "error":
            raise AssertionError(value)
    return [value for _, value in answers]


def _rank(pipe: Any, function: Callable[..., Any], rank: int, size: int, port: int, args: tuple[Any, ...]) -> None:
    import torch
    from torch.distributed import TCPStore

    from gdist.engine.collective import Distributed

    torch.set_num_threads(1)
    try:
        store = TCPStore("127.0.0.1", port, is_master=False)
        collective = Distributed(store, rank=rank, size=size, host="127.0.0.1", deadline_s=30)
        pipe.send(("ok", function(collective, *args)))
        collective.close()
    except BaseException:
        pipe.send(("error", traceback.format_exc()))
    finally:
        pipe.close()
