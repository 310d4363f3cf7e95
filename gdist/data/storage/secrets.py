"""Takes credentials out of what is shown: those in an URL, in the options of a storage, and in the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

# Options that say where and how, not who: all others may be credentials.
_OPEN = re.compile(
    "account_name|anon|anonymous|block_size|.*_timeout|endpoint_override|endpoint_url|project|project_id|region|revision|scheme"
)
_ENVIRONMENT = re.compile(
    "AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)|AZURE_(STORAGE_.*(KEY|TOKEN|STRING)|CLIENT_SECRET)|(HF|GITHUB)_TOKEN"
)
_SHORTEST = 4  # characters; shorter ones are words such as `no`
_NO_USERS = ("abfs", "abfss", "wasb", "wasbs", "github")  # abfs://container@account, github://owner:repository@branch
_USER = re.compile(r"([a-z][a-z0-9+.-]*)://(?:[^\s/@'\"]*|[^\s/:@]+:(?!\d+/)[^\s@'\"]*)@", re.I)  # a secret may have slashes
_BARE_USER = re.compile(r"(?<![^\s'\"(=])[^\s/@:'\"]+:[^\s/@'\"]+@")
_QUERY = re.compile(r"(://[^\s?'\"<>]*)\?[\w.~%\[\]-]+=[^\s'\"<>]*")


def without_credentials(text: str, options: Mapping[str, Any]) -> str:
    """What a library says, with ``***`` for each value that may be secret."""
    known = [value for value in _secrets(options) if len(value) >= _SHORTEST]
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, "***").replace(quote(value, safe=""), "***")
    return shown_url(text)


def shown_url(text: str) -> str:
    """With the userinfo and the query of each URL in it left out."""
    text = _USER.sub(lambda found: found[0] if found[1].lower() in _NO_USERS else f"{found[1]}://", text)
    return _QUERY.sub(r"\1", _BARE_USER.sub("", text))


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path or an URL as the user may see it."""
    return shown_url(os.fspath(path))


def shown_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """A storage's options with ``***`` for each that may be secret."""
    return {name: value if _OPEN.fullmatch(name) else "***" for name, value in sorted(options.items())}


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    yield from (value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name))
    yield from (text for key, value in options.items() if not _OPEN.fullmatch(key) for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (text for each in value.values() for text in _texts(each))
    elif isinstance(value, (list, tuple)):
        yield from (text for each in value for text in _texts(each))
    elif isinstance(value, str):
        yield value
