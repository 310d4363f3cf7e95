"""How many workers, and how much of the machine for each; what a job asks for, found without loading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gdist.cluster.asked import asked_resources
from gdist.cluster.placement import share
from gdist.errors import JobError, UsageError
from gdist.records import Order
from tests.cluster import job_files


def of(**asked: Any) -> tuple[int, float, float, int]:
    default = {"workers": None, "cpus": None, "gpus": None, "total_cpus": 2.0, "total_gpus": 0.0, "shared": False}
    each = share(**{**default, **asked})
    return each.workers, each.cpus, each.gpus, each.threads


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (2, 1, 0, 1)),
        ({"total_cpus": 16}, (4, 4, 0, 4)),
        ({"total_cpus": 16, "total_gpus": 2}, (2, 8, 1, 8)),
        ({"total_cpus": 16, "workers": 2, "shared": True}, (2, 4, 0, 4)),
        ({"total_cpus": 16, "cpus": 6}, (2, 6, 0, 6)),
        ({"workers": 1}, (1, 2, 0, 2)),
        ({"workers": 3}, (3, 0.66, 0, 1)),
        ({"total_cpus": 1}, (2, 0.5, 0, 1)),
        ({"total_gpus": 1, "gpus": 0.5}, (2, 1, 0.5, 1)),
        ({"total_gpus": 1, "workers": 2}, (2, 1, 0, 1)),
    ],
)
def test_workers_never_get_more_than_the_machines_have(asked: dict[str, Any], expected: tuple[int, float, float, int]) -> None:
    assert of(**asked) == expected


@pytest.mark.parametrize("asked", [{"workers": 0}, {"workers": 2, "cpus": 2}, {"workers": 1, "gpus": 1}])
def test_what_can_never_be_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        of(**asked)


def test_a_job_that_names_neither_field_is_not_loaded(tmp_path: Path) -> None:
    job = job_files.regression(tmp_path, fields="epochs=1", before="raise RuntimeError")
    assert asked_resources(Order(job_file=job)).result() == (None, None)


def test_what_a_job_file_or_an_override_asks_is_found(tmp_path: Path) -> None:
    job = job_files.regression(tmp_path, fields="epochs=1, cpus_per_worker=0.5")
    assert asked_resources(Order(job_file=job)).result(60) == (0.5, None)
    job = job_files.regression(tmp_path, "plain", fields="epochs=1")
    assert asked_resources(Order(job_file=job, overrides=("gpus_per_worker=1",))).result(60) == (None, 1)
    with pytest.raises(JobError):
        asked_resources(Order(job_file=str(tmp_path / "missing.py"))).result(60)
