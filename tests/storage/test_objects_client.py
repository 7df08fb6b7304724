"""Where the store is and who asks: the environment first, then the profile's files."""

from pathlib import Path

import pytest

from storage import BadInput
from storage.objects import ObjectStore, object_store
from storage.objects_client import client_of, find_endpoint, find_region, read_profile


@pytest.fixture
def files(tmp_path: Path, s3_settings: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of two profiles and an environment that names nothing."""
    (tmp_path / "config").write_text(f"[default]\nregion = eu-west-1\n[profile lab]\nendpoint_url = {s3_settings}\nregion = us-east-1\n")
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = testing\naws_secret_access_key = with%percent\n")
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def test_without_anything_it_is_amazon(s3_settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert (find_endpoint(), find_region()) == ("", "us-east-1")


def test_the_environment_comes_first(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (find_endpoint(), find_region()) == ("", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://one.example/")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert (find_endpoint(), find_region()) == ("https://one.example", "eu-north-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://two.example")
    monkeypatch.setenv("AWS_REGION", "eu-south-1")
    assert (find_endpoint(), find_region()) == ("https://two.example", "eu-south-1")


def test_a_profile_gives_address_and_credentials(files: Path, s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "lab")
    client_of.cache_clear()
    store = object_store(s3.url)
    assert store.endpoint
    store.put("x", b"1")
    assert store.read("x").content == b"1"


def test_a_damaged_profile_is_named(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "config").write_text("[default\n")
    with pytest.raises(BadInput, match=rf"{files}/config cannot be read as settings"):
        read_profile()


@pytest.mark.parametrize("endpoint", ["localhost:9000", "ftp://host", "http://"])
def test_an_endpoint_that_is_no_url_is_refused(s3_settings: str, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(BadInput, match="is no URL: set AWS_ENDPOINT_URL"):
        find_endpoint()


@pytest.mark.parametrize("endpoint", ["http://key:hidden-value@host", "https://host/?token=hidden-value"])
def test_an_endpoint_with_credentials_is_refused_without_showing_them(
    s3_settings: str, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(BadInput, match="the endpoint of host holds credentials") as caught:
        find_endpoint()
    assert "hidden" not in str(caught.value)
