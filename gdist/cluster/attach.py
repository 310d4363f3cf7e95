"""A Ray cluster that exists already, reached by its address.

Two things make ``ray.init(address=...)`` fail with a plain ConnectionError, after 20 s or more, where a cluster is there:
``ray start --head`` runs in token mode as soon as a token file exists, but an explicit address never turns tokens on; and Ray
takes 127.0.0.1 for this machine's network address, where a head that listens on loopback only does not answer. So gdist
sets RAY_AUTH_MODE=token whenever a token is at hand (a cluster without tokens takes no notice), and looks which one answers.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

from gdist.cluster.names import NAMESPACE
from gdist.cluster.ray_settings import import_ray, signal_handlers_kept, stderr_folded_away, token_exists
from gdist.errors import RunNotFound, UsageError

REACH_S = 5.0


class AttachedRay:
    """A connection; ``close`` ends it and leaves the cluster as it is."""

    embedded = False

    def __init__(self, address: str, *, verbose: bool = False) -> None:
        if "://" in address:
            raise UsageError(
                "Ray Client addresses (ray://...) are not supported",
                where=f"--address {address}",
                help="give the head's own address, HOST:6379",
            )
        loopback = _reach(address)
        if "RAY_AUTH_MODE" not in os.environ and token_exists():
            os.environ["RAY_AUTH_MODE"] = "token"
        ray = import_ray(loopback=loopback, verbose=verbose)
        self._ours = not ray.is_initialized()
        try:
            if self._ours:
                with signal_handlers_kept(), contextlib.nullcontext() if verbose else stderr_folded_away():
                    ray.init(address=address, namespace=NAMESPACE, log_to_driver=verbose, configure_logging=verbose)
        except Exception as error:
            raise _refused(address, error) from error
        self.ray: Any = ray
        self.address = address

    def lost(self) -> str | None:
        """Nothing is known of a cluster's servers: their silence tells."""
        return None

    def close(self) -> None:
        if self._ours:
            self.ray.shutdown()


def _reach(address: str) -> bool:
    """Whether the cluster answers on loopback only. Raises RunNotFound if it does not answer at all."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return False
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S) as connection:
            if not connection.getpeername()[0].startswith("127."):
                return False
        with contextlib.suppress(OSError):
            socket.create_connection((_network_address(), int(port)), timeout=REACH_S).close()
            return False
        return True
    except ValueError:
        raise UsageError("an address is HOST:PORT", where=f"--address {address}", help="such as 127.0.0.1:6379") from None
    except OSError as error:
        raise RunNotFound(
            "no Ray cluster answers there",
            where=f"--address {address}",
            note=str(error),
            help="start one: ray start --head, or leave --address out (and RAY_ADDRESS unset) for one of gdist's own",
        ) from error


def _network_address() -> str:
    """This machine's address on its network, found as Ray finds it; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("8.8.8.8", 80))
        return str(probe.getsockname()[0])


def _refused(address: str, error: Exception) -> RunNotFound:
    where = f"--address {address}"
    kind = type(error).__name__
    if kind == "AuthenticationError" or isinstance(error, ConnectionError):
        if token_exists() and kind != "AuthenticationError":
            return RunNotFound(
                "the Ray cluster does not accept the token",
                where=where,
                note="something listens there, but refuses this token, or it is no Ray head",
                help="put the cluster's token into ~/.ray/auth_token, or name its file: RAY_AUTH_TOKEN_PATH=...",
            )
        return RunNotFound(
            "the Ray cluster wants a token, and there is none here",
            where=where,
            note="looked for RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH and ~/.ray/auth_token",
            help="copy ~/.ray/auth_token from the cluster's head, mode 0600",
        )
    return RunNotFound("the Ray cluster cannot be used", where=where, note=f"{kind}: {error}"[:600])
