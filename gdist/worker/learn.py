"""The statistics pass: what a recipe asks for is learned from the training rows, once, by all workers together.

Its parts are the data's row groups; worker r reads its share of them. Moments are merged along the engine's fixed tree, counts
are united by value: what is learned has the same bits at any number of workers, and so has the error where rows are unusable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from gdist.data.cache import kept, look_up
from gdist.data.learned import moments
from gdist.data.learned.conclude import conclude
from gdist.data.learned.learned import Learned
from gdist.data.learned.recipe import Recipe
from gdist.data.learned.statistics import Share, TrainingRows, moments_of
from gdist.engine.collective import Collective
from gdist.engine.collective.share import share_bytes
from gdist.engine.gather import GatherSums
from gdist.engine.plan import owned
from gdist.errors import DataError, GdistError
from gdist.fault_points import fault_point

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_ENTRY = "statistics"  # of the cache
_VERSION = 1  # of what is learned, and how
_AHEAD = 2  # row groups that are read while one is counted

Group = tuple["pa.Table", str, "int | np.ndarray"]


def learn(
    rows: TrainingRows,
    recipe: Recipe,
    collective: Collective,
    *,
    fingerprint: str | None = None,
    skip_bad: bool = False,
    device: torch.device | None = None,
) -> Learned:
    """What ``recipe`` asks for, the same on every worker. All workers must call it, with the same rows and recipe.

    ``fingerprint``: of the data and of which rows train: what was learned of the same ones before is taken from the cache.
    ``skip_bad``: rows with unusable values are not learned from; else they are a DataError, which counts them over all of the
    data, names the column and says where the first is. ``device``: of the collective's tensors.
    """
    if recipe.empty:
        return Learned.nothing(recipe)
    key = None if fingerprint is None else _key(recipe, fingerprint, skip_bad)
    known = _known(key, collective, device)
    if known is None:
        known = _learn(rows, recipe, collective, skip_bad, device)
        if key is not None and collective.rank == 0:
            _keep(key, known)
    return known


def _learn(rows: TrainingRows, recipe: Recipe, collective: Collective, skip_bad: bool, device: torch.device | None) -> Learned:
    if not len(rows.groups):
        raise DataError("no training row is there to learn from")
    share = Share(recipe, skip_bad=skip_bad)
    nothing = _tensors(moments.neutral(share.elements), device)
    sums = GatherSums(nothing, collective, control=1, merge=moments.merge)
    parts = owned(len(rows.groups), rank=collective.rank, size=collective.size)
    sums.open(len(rows.groups))
    done = parts.start
    try:
        for (table, where, first_row), part in zip(_read_ahead(rows, recipe.columns, parts), parts, strict=True):
            found = share.contribute(table, part=part, where=where, first_row=first_row)
            sums.add(_tensors(found, device), part=part)
            done += 1
    except GdistError as error:  # the others wait: what went wrong is told to all, who then end alike
        share.trouble.raised(error, part=done)
        for part in range(done, parts.stop):
            sums.add(nothing, part=part)
    fault_point("learned_share")
    totals = sums.reduce()
    counts = share.united(share_bytes(collective, share.to_bytes(), device=device))
    return conclude(recipe, moments_of({name: total.cpu() for name, total in totals.items()}, share.rules), counts)


def state_of_a_member(
    collective: Collective, state: dict[str, Any] | None, *, device: torch.device | None = None
) -> dict[str, Any] | None:
    """What was learned before (``state``: None where this worker does not know it), if any worker knows it and any does not."""
    knows = [bool(each) for each in share_bytes(collective, b"1" if state is not None else b"", device=device)]
    if all(knows) or not any(knows):
        return None
    speaks = collective.rank == knows.index(True)
    told = share_bytes(collective, json.dumps(state).encode() if speaks else b"", device=device)
    found: dict[str, Any] = json.loads(next(filter(None, told)))
    return found


def _key(recipe: Recipe, fingerprint: str, skip_bad: bool) -> str:
    return hashlib.sha256(f"{_VERSION} {recipe.fingerprint()} {fingerprint} {skip_bad}".encode()).hexdigest()[:32]


def _known(key: str | None, collective: Collective, device: torch.device | None) -> Learned | None:
    """What the first worker's cache holds, for all workers; None where it holds nothing."""
    if key is None:
        return None
    content = b""
    if collective.rank == 0:
        content = look_up(_ENTRY, key) or b""
    content = share_bytes(collective, content, device=device)[0]
    return Learned.from_json(json.loads(content)) if content else None


def _keep(key: str, learned: Learned) -> None:
    """Into the cache, if there is room: the run has it in its own folder, too."""
    content = json.dumps(learned.to_json()).encode()
    with suppress(DataError):  # another process holds it too long
        kept(_ENTRY, key, lambda: content)


def _read_ahead(rows: TrainingRows, columns: tuple[str, ...], parts: range) -> Iterator[Group]:
    """The row groups in order, the next ones read by a thread of their own."""
    with ThreadPoolExecutor(1, thread_name_prefix="gdist-statistics") as reader:
        waiting: list[Future[Group]] = []
        try:
            for part in parts:
                waiting.append(reader.submit(rows.read_group, part, columns))
                if len(waiting) > _AHEAD:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _tensors(found: dict[str, Any], device: torch.device | None) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values).to(device) for name, values in found.items()}
