"""What went wrong with a storage, as a DataError: which file, why, and what to do. Credentials never appear.

Libraries differ in the exceptions that they raise, and pyarrow raises OSError for all that a store answers: what happened is
in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gdist.data.storage.filesystem import Changed
from gdist.data.storage.secrets import without_credentials
from gdist.errors import DataError

_SETTINGS = "storage={'attempts': .., 'deadline_s': ..} sets how long it is tried"
_LONGEST_NOTE = 300  # characters


@dataclass(frozen=True)
class Cause:
    """``passes``: it may be otherwise in a moment, so that it is worth asking again."""

    what: str
    passes: bool = False
    help: str | None = None


_DENIED = Cause(
    "no permission to read the data",
    help="check the credentials (of the environment, or in `storage`) and their rights; `anonymous` is for public data",
)
GONE = Cause("a data file is gone", help="it was there when the data was looked up")
_CHANGED = Cause("a data file has changed since it was found", help="begin anew; files must stay as they are during a run")
_NO_BUCKET = Cause("no such bucket", help="check its name, its region and the endpoint: storage={'region': ..}")
_OTHER_REGION = Cause("the bucket is in another region", help="name it: storage={'region': ..}")
_REFUSED = Cause("the storage refuses the request", help="check the bucket's name and its region")
_UNTRUSTED = Cause("the storage's certificate is not trusted", help="name its authority: storage={'tls_ca_file_path': ..}")
_UNREACHABLE = Cause("the storage cannot be reached", passes=True, help=f"check the network and the endpoint; {_SETTINGS}")
_BROKEN = Cause("the connection to the storage broke", passes=True, help=_SETTINGS)
_BUSY = Cause("the storage does not answer as it should", passes=True, help=_SETTINGS)
_UNUSABLE = Cause("the storage cannot be read in this way")

_BY_TEXT: tuple[tuple[str, Cause], ...] = (
    (r"NO_SUCH_BUCKET|bucket does not exist|^Bucket '' not found", _NO_BUCKET),
    (
        r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE|EXPIRED_TOKEN|INVALID_TOKEN|INVALID_CLIENT_TOKEN|UNRECOGNIZED_CLIENT",
        _DENIED,
    ),
    (r"PERMISSION_DENIED|UNAUTHENTICATED|(^|HTTP status )40[13]\b|Forbidden|Unauthorized", _DENIED),
    (r"NO_SUCH_KEY|RESOURCE_NOT_FOUND|Status\(NOT_FOUND|(^|HTTP status )404\b", GONE),
    (r"HTTP status 301|PERMANENT_REDIRECT", _OTHER_REGION),
    (r"HTTP status 400", _REFUSED),
    (r"curlCode: (58|60|77)\b|CERTIFICATE_VERIFY_FAILED", _UNTRUSTED),
    (r"curlCode: (5|6|7|35)\b|CURL error \[(5|6|7|35)\]|ConnectError|Cannot connect|resolve|not known|refused", _UNREACHABLE),
    (r"NETWORK_CONNECTION|curlCode|CURL error|[Tt]imeout|timed out|reset|closed|[Dd]isconnected|payload|ReadError", _BROKEN),
)


def cause_of(error: BaseException) -> Cause:
    """What happened, as far as the exception's type and text tell."""
    if isinstance(error, FileNotFoundError):
        # fsspec says so of a server that it cannot reach, too
        below = cause_of(error.__cause__) if error.__cause__ else GONE
        return below if below.passes or below is _DENIED else GONE
    if isinstance(error, PermissionError):
        return _DENIED
    if isinstance(error, Changed):
        return _CHANGED
    text = re.sub(r"'[^']*'", "''", str(error)) + f" ({type(error).__name__})"  # the names of files tell nothing
    for pattern, cause in _BY_TEXT:
        if re.search(pattern, text):
            return cause
    if isinstance(error, (TimeoutError, ConnectionError)):
        return _BROKEN
    return _BUSY if isinstance(error, OSError) else _UNUSABLE


def failure(error: BaseException, *, shown: str, options: Mapping[str, Any], tried: int = 1, seconds: float = 0) -> DataError:
    """The error for the user, after ``tried`` attempts in ``seconds``."""
    cause = cause_of(error)
    what = f"{cause.what}, tried {tried} times in {seconds:.1f} s" if tried > 1 else cause.what
    return DataError(what, where=shown, note=_said(error, options), help=cause.help)


def local_failure(error: OSError | Changed, *, shown: str) -> DataError:
    """Of a file or a folder of this machine."""
    if isinstance(error, Changed):
        return DataError(_CHANGED.what, where=shown, note=str(error), help=_CHANGED.help)
    if isinstance(error, PermissionError):
        return DataError(_DENIED.what, where=shown, help="check its rights, and those of the folders above it")
    if isinstance(error, FileNotFoundError):
        return DataError(GONE.what, where=shown, help=GONE.help)
    return DataError("cannot read a data file", where=shown, note=_said(error, {}))


def _said(error: BaseException, options: Mapping[str, Any]) -> str:
    while error.__cause__ is not None and str(error.__cause__) not in str(error):
        error = error.__cause__
    text = re.sub(r" ?\(Request ID: [^)]*\)", "", (str(error).splitlines() or [""])[0]) or type(error).__name__
    return without_credentials(text, options)[:_LONGEST_NOTE]
