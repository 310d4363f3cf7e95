"""Credentials are in no text that is shown."""

from __future__ import annotations

import pickle

import pytest

from gdist.data.storage.failures import cause_of, failure
from gdist.data.storage.patience import Patience
from gdist.data.storage.place import locate
from gdist.data.storage.secrets import shown_url, without_credentials
from gdist.errors import DataError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pass@host/x.parquet", "https://host/x.parquet"),
        ("https://token@host:8080/x", "https://host:8080/x"),
        ("ftp://me:pa/ss@host/x", "ftp://host/x"),
        ("http://host:8080/x@1/y", "http://host:8080/x@1/y"),
        ("https://host/x.parquet?X-Amz-Signature=abc&X-Amz-Date=1", "https://host/x.parquet"),
        ("cannot get 'https://host/x?sig=abc', and https://a:b@c/", "cannot get 'https://host/x', and https://c/"),
        ("proxy me:pass@host:80 does not answer", "proxy host:80 does not answer"),
        ("abfs://container@account/x", "abfs://container@account/x"),
        ("github://owner:repository@main/x", "github://owner:repository@main/x"),
        ("hf://datasets/me/set@main/x.parquet", "hf://datasets/me/set@main/x.parquet"),
        ("s3://bucket/year=202?/*.parquet", "s3://bucket/year=202?/*.parquet"),
    ],
)
def test_an_url_is_shown_without_its_user_and_query(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_options_and_the_environment_are_left_out_of_what_a_library_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
    options = {"key": "abcd/efgh", "client_kwargs": {"headers": ["Bearer 1234"]}, "region": "us-east-1", "anon": False}
    text = "key abcd/efgh or abcd%2Fefgh, Bearer 1234, of the environment, in us-east-1"
    assert without_credentials(text, options) == "key *** or ***, ***, ***, in us-east-1"


@pytest.mark.parametrize("url", ["s3://AKIA:very/secret@bucket/x?region=eu-west-1", "s3://bucket/x"])
def test_a_place_shows_no_credentials_and_takes_them_along(url: str) -> None:
    place, path = locate(url, {} if "@" in url else {"access_key": "AKIA", "secret_key": "very/secret"})
    assert path == "bucket/x"
    assert "AKIA" not in f"{place} {place.shown(path)}"
    assert "secret" not in f"{place} {place.shown(path)}"
    again = pickle.loads(pickle.dumps(place))
    assert (again.options["access_key"], again.options["secret_key"]) == ("AKIA", "very/secret")


def test_an_error_holds_no_credentials_and_no_error_that_does() -> None:
    tries: list[int] = []

    def question() -> None:
        tries.append(len(tries))
        raise ConnectionError("cannot connect to https://me:pass@host/x?token=abc with open sesame")

    with pytest.raises(DataError) as caught:
        Patience(attempts=2).ask(question, shown="https://host/x", options={"password": "open sesame"})
    assert caught.value.note == "cannot connect to https://host/x with ***"
    assert (len(tries), caught.value.__context__, caught.value.__cause__) == (2, None, None)


@pytest.mark.parametrize(
    ("error", "what", "passes"),
    [
        (FileNotFoundError("x"), "gone", False),
        (PermissionError("x"), "no permission", False),
        (OSError("AWS Error ACCESS_DENIED during HeadObject operation"), "no permission", False),
        (OSError("When reading key 'ACCESS_DENIED 404 timeout': AWS Error SLOW_DOWN"), "does not answer", True),
        (OSError("AWS Error UNKNOWN (HTTP status 301) during HeadObject operation"), "another region", False),
        (OSError("google::cloud::Status(PERMISSION_DENIED: no)"), "no permission", False),
        (OSError("AWS Error NETWORK_CONNECTION: curlCode: 60, SSL peer certificate"), "certificate", False),
        (TimeoutError(), "broke", True),
        (ValueError("both keys must be given"), "in this way", False),
    ],
)
def test_causes(error: Exception, what: str, passes: bool) -> None:
    assert what in cause_of(error).what
    assert cause_of(error).passes is passes
    assert failure(error, shown="s3://b/x", options={}).where == "s3://b/x"
