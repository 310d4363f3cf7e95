"""Which storage a path is in: this machine, or the one that an URL names, with the user's options for it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from gdist.data.storage.arrow_files import open_gcs, open_s3
from gdist.data.storage.failures import local_failure
from gdist.data.storage.filesystem import Changed, Entry, Filesystem
from gdist.data.storage.fsspec_files import open_fsspec
from gdist.data.storage.local import LocalFiles
from gdist.data.storage.patience import Answer, Patience
from gdist.data.storage.secrets import shown_url
from gdist.errors import DataError

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)(::|://)", re.I)
_SLASH_LOST = re.compile(r"([a-z][a-z0-9+.-]+):/(?!/)", re.I)  # what Path makes of an URL
_STORES = {"s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gs", "gcs": "gs"}
_QUERY = re.compile(r"\?((?:&?(?:region|scheme|endpoint_override)=[^&/]*)+)$")  # as in pyarrow's URIs; else ? is of a glob


@dataclass(frozen=True)
class Place:
    """A storage and what is needed to reach it, from any process.

    ``url`` and ``options`` may hold credentials: they are not shown. ``prefix`` before a path in the storage makes it an URL;
    of this machine, it is the working folder that the user's path counts from.
    """

    scheme: str
    prefix: str = ""
    url: str = field(default="", repr=False, compare=False)
    bucket: str = ""
    options: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)
    patience: Patience = field(default_factory=Patience)

    @property
    def is_local(self) -> bool:
        return self.scheme == "file"

    @property
    def has_buckets(self) -> bool:
        return self.scheme in _STORES

    def info(self, path: str) -> Entry | None:
        return self.ask(lambda: self.filesystem().info(path), shown=self.shown(path))

    def entries(self, folder: str, *, recursive: bool) -> list[Entry]:
        return self.ask(lambda: self.filesystem().entries(folder, recursive=recursive), shown=self.shown(folder))

    def ask(self, question: Callable[[], Answer], *, shown: str) -> Answer:
        """The storage's answer, with patience if it is not this machine. Raises DataError."""
        if not self.is_local:
            return self.patience.ask(question, shown=shown, options=self.options)
        try:
            return question()
        except (OSError, Changed) as error:
            named = error.filename if isinstance(error, OSError) else None
            wrong = local_failure(error, shown=self.shown(named) if named else shown)
        raise wrong  # here, so that the library's error is not its context

    def filesystem(self) -> Filesystem:
        """One for each process and set of options, as each has its own connections."""
        if self.is_local:
            return LocalFiles()
        key = (self.scheme, self.bucket if self.has_buckets else self.url, repr(sorted(self.options.items())))
        with _opening:
            if key not in _open:
                _open[key] = self._opened()
            return _open[key]

    def _opened(self) -> Filesystem:
        if self.scheme == "s3":
            return open_s3(self.bucket, self.options)
        return open_gcs(self.options) if self.scheme == "gs" else open_fsspec(self.url, self.options)[0]

    def shown(self, path: str) -> str:
        """As the user would write it, without credentials."""
        if self.is_local:
            return path.removeprefix(self.prefix)
        return shown_url(path if "://" in path else self.prefix + path.lstrip("/"))

    def seen(self, path: str) -> str:
        """For a path that is not there: with the folder that it was looked up from."""
        return f"{self.shown(path)} (in {self.prefix.rstrip('/')})" if self.is_local and self.prefix else self.shown(path)


LOCAL = Place("file")
_open: dict[tuple[str, str, str], Filesystem] = {}
_opening = threading.Lock()


def locate(given: str | Path, options: dict[str, Any]) -> tuple[Place, str]:
    """The place, and the path in it, without a slash at its end. Raises DataError for an URL or options that cannot be."""
    text = str(given)
    url = _URL.match(text)
    if url is None and isinstance(given, Path) and _SLASH_LOST.match(text):
        raise DataError("Path takes a slash out of an URL", where=shown_url(text), help="give the URL as a str")
    if url is None:
        path = Path(text).expanduser()
        return (LOCAL, str(path)) if path.is_absolute() else (Place("file", f"{Path.cwd()}/"), str(Path.cwd() / path))
    scheme = url["scheme"].lower()
    if scheme in ("file", "local"):
        return LOCAL, str(Path(unquote(text[url.end() :])))
    patience = Patience.of(options)
    options = {key: value for key, value in options.items() if key not in vars(patience)}
    if scheme in _STORES:
        return _in_store(_STORES[scheme], text[url.end() :], options, patience)
    return _elsewhere(scheme, text, options, patience)


def _in_store(scheme: str, rest: str, options: dict[str, Any], patience: Patience) -> tuple[Place, str]:
    """``bucket/key``, with ``access_key:secret_key@`` before and ``?region=..&endpoint_override=..`` after it, if need be."""
    if query := _QUERY.search(rest):
        rest = rest[: query.start()]
        options = {**dict(parse_qsl(query[1])), **options}
    user, at, after = rest.partition("@")
    if at and ("/" not in user or ":" in user.partition("/")[0]):  # a secret key may have slashes; no bucket has a colon
        rest = after
        given = zip(("access_key", "secret_key"), map(unquote, user.split(":", 1)), strict=False)
        options = {**dict(given), **options}
    path = rest.strip("/")
    return Place(scheme, f"{scheme}://", bucket=path.partition("/")[0], options=options, patience=patience), path


def _elsewhere(scheme: str, url: str, options: dict[str, Any], patience: Patience) -> tuple[Place, str]:
    if scheme in ("http", "https") and url.endswith("/"):
        raise DataError("a web server tells of no folder's files", where=shown_url(url), help="name each file")
    asked = patience.ask(lambda: open_fsspec(url, options), shown=shown_url(url), options=options)
    path = asked[1]
    end = path.strip("/")
    whole = url.rstrip("/")
    prefix = shown_url(whole[: len(whole) - len(end)]) if whole.endswith(end) else f"{scheme}://"
    return Place(scheme, prefix, url=url, options=options, patience=patience), path
