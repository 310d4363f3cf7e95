"""What is said when a cluster cannot be used."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gdist.cluster.attach import AttachedRay
from gdist.errors import RunNotFound, UsageError
from tests.cluster.conftest import Head

_ATTACH = """
import sys
from gdist.cluster.attach import AttachedRay
from gdist.errors import GdistError
try:
    AttachedRay(sys.argv[1]).close()
    print("attached")
except GdistError as error:
    print(type(error).__name__, error.what)
"""


def attach(address: str, environment: dict[str, str]) -> tuple[str, str]:
    ended = subprocess.run(
        [sys.executable, "-c", _ATTACH, address], env=environment, capture_output=True, text=True, timeout=60
    )
    return ended.stdout.strip(), ended.stderr


def test_an_address_where_nothing_listens_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(RunNotFound, match="no Ray cluster answers there") as wrong:
        AttachedRay(address)
    assert wrong.value.where == f"--address {address}"


@pytest.mark.parametrize("address", ["localhost", "ray://localhost:10001"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        AttachedRay(address)


def test_the_token_at_hand_opens_the_cluster(head: Head) -> None:
    assert attach(head.address, head.environment) == ("attached", "")


def test_a_missing_or_wrong_token_is_one_clear_error(head: Head, tmp_path: Path) -> None:
    bare = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"HOME": str(tmp_path)}
    said, chatter = attach(head.address, bare)
    assert said == "RunNotFound the Ray cluster wants a token, and there is none here"
    assert chatter == ""
    said, chatter = attach(head.address, {**bare, "RAY_AUTH_TOKEN": "f" * 64})
    assert said == "RunNotFound the Ray cluster does not accept the token"
    assert chatter == ""
