"""The connection to an object store: its address, who asks, how often it is tried again.

Everything is named as the AWS tools name it, first in the environment, then in the profile's files:

    AWS_ENDPOINT_URL_S3 | AWS_ENDPOINT_URL         endpoint_url in ~/.aws/config      https://s3.REGION.amazonaws.com
    AWS_REGION | AWS_DEFAULT_REGION                region in ~/.aws/config            us-east-1
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY ...   ~/.aws/credentials                 role of the container or the machine

Credentials are looked up by the process that uses them. They are in no value that is pickled, logged or reported.
"""

import os
from configparser import ConfigParser, Error
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.store import S3Store

from storage.errors import BadInput

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

MOST_RETRIES = 5
"""Times that one request is tried again after a 5xx answer, a broken connection or a timeout; also of a body that breaks off."""
LONGEST_RETRYING = timedelta(seconds=60)
"""After this no request is tried again."""
_CLIENT: "ClientConfig" = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "10m"}

Profile = dict[str, str]


def find_endpoint() -> str:
    """URL of the service as configured, empty for Amazon's own; raises BadInput where it is no http URL or holds credentials."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    found = next((os.environ[name] for name in names if os.environ.get(name)), read_profile().get("endpoint_url", ""))
    parts = urlsplit(found)
    if found and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise BadInput(f"the endpoint {found!r} is no URL: set AWS_ENDPOINT_URL to something like https://s3.example.org")
    if parts.username or parts.password or parts.query:
        raise BadInput(f"the endpoint of {parts.hostname} holds credentials: give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return found.rstrip("/")


def find_region() -> str:
    """Region as configured."""
    names = ("AWS_REGION", "AWS_DEFAULT_REGION")
    return next((os.environ[name] for name in names if os.environ.get(name)), read_profile().get("region", "us-east-1"))


@lru_cache(maxsize=64)
def client_of(bucket: str, endpoint: str, region: str, prefix: str = "") -> S3Store:
    """Return this process's connection to a bucket, or to the part of it below a prefix."""
    config: ClientConfig = {**_CLIENT, "allow_http": endpoint.startswith("http://")}
    retry: RetryConfig = {"max_retries": MOST_RETRIES, "retry_timeout": LONGEST_RETRYING}
    address = {"endpoint": endpoint} if endpoint else {}
    return S3Store(bucket, prefix=prefix or None, region=region, client_options=config, retry_config=retry, **address, **_credentials())  # pyright: ignore[reportArgumentType, reportCallIssue]


def read_profile() -> Profile:
    """Settings of the profile AWS_PROFILE (default) in the shared files; none where there are no files."""
    name = os.environ.get("AWS_PROFILE") or "default"
    found: Profile = {}
    for variable, usual, section in (
        ("AWS_CONFIG_FILE", "~/.aws/config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name),
    ):
        parser, path = ConfigParser(interpolation=None), Path(os.environ.get(variable) or usual).expanduser()
        try:
            parser.read(path)
        except (Error, UnicodeDecodeError) as error:
            raise BadInput(f"{path} cannot be read as settings ({type(error).__name__}): mend it or unset AWS_PROFILE") from None
        found |= dict(parser[section]) if parser.has_section(section) else {}
    return found


def _credentials() -> Profile:
    """Credentials of the profile, where the environment holds none and does not ask for unsigned requests."""
    if os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_SKIP_SIGNATURE"):
        return {}
    profile = read_profile()
    names = {"aws_access_key_id": "access_key_id", "aws_secret_access_key": "secret_access_key", "aws_session_token": "session_token"}
    return {ours: profile[theirs] for theirs, ours in names.items() if theirs in profile}
