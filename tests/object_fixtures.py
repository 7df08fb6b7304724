"""Fixtures of tests that need an object store; imported by the conftest."""

import itertools
from collections.abc import Generator

import pytest

from storage.objects import ObjectStore, object_store
from storage.objects_client import client_of
from tests.object_server import Proxy, make_bucket, moto_server, proxy_before

BUCKET = "lab"
_NAMES = itertools.count()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of a local S3 server with one bucket; one server for all tests."""
    with moto_server(tmp_path_factory.mktemp("s3") / "log") as url:
        make_bucket(url, BUCKET)
        yield url


@pytest.fixture
def s3_settings(s3_server: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """This process, and those that it starts, use that server and no other; returns its URL."""
    nothing = tmp_path_factory.mktemp("aws") / "none"
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_SKIP_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "hidden-value",
        "AWS_CONFIG_FILE": str(nothing),
        "AWS_SHARED_CREDENTIALS_FILE": str(nothing),
    }.items():
        monkeypatch.setenv(name, value)
    client_of.cache_clear()
    yield s3_server
    client_of.cache_clear()


@pytest.fixture
def s3(s3_settings: str) -> ObjectStore:
    """A place of its own on the server."""
    return object_store(f"s3://{BUCKET}/t{next(_NAMES)}")


@pytest.fixture
def flaky(s3: ObjectStore, s3_settings: str, monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[ObjectStore, Proxy]]:
    """The same place behind a proxy that fails on demand."""
    with proxy_before(s3_settings) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield object_store(s3.url), proxy
