"""What an object store answers when it does not do what was asked, in one line that says what to change.

404 with a bucket    FileNotFoundError           the caller knows what a missing object means
412                  Conflict                    somebody else wrote first
401, 403, no bucket  BadInput                    the address or the credentials are wrong
all else             Unreachable                 tried again as often as MOST_RETRIES says
"""

import re
from collections.abc import Generator
from contextlib import contextmanager

from obstore import exceptions

from storage.errors import BadInput, GemmflowError, Unreachable


class Conflict(GemmflowError):
    """A conditional write found another object than it expected."""


FOREIGN = (exceptions.BaseError, FileNotFoundError, ConnectionError, TimeoutError)
"""What the client raises."""

_DENIED = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
_CONFLICT = (exceptions.AlreadyExistsError, exceptions.PreconditionError)
_EXPIRED = ("ExpiredToken", "InvalidToken")
_ADVICE = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_PROFILE, and what they may do"
_NO_CREDENTIALS = "no credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket"
_METADATA_SERVICE = ("169.254.169.254", "169.254.170.2", "/latest/api/token", "/latest/meta-data/iam")
"""Where the roles of a machine or of a container are asked for when nothing else is configured."""
_CAUSES = {
    "Connection refused": "refuses connections",
    "dns error": "is unknown (no such host)",
    "TimedOut": "does not answer in time",
    "Connect,": "cannot be connected",
    "IncompleteMessage": "breaks connections off",
    "Decode": "breaks answers off",
    "Body": "breaks answers off",
}
"""What the client's description of a failed connection contains, and what it means."""


@contextmanager
def translated(url: str, endpoint: str) -> Generator[None]:
    """Turn what the client raises within the block into errors of this package; FileNotFoundError for a missing object."""
    try:
        yield
    except FOREIGN as error:
        raise translate(error, url, endpoint) from error


def translate(error: Exception, url: str, endpoint: str) -> Exception:
    """Return the error that says what happened to the object `url`, asked for at `endpoint`."""
    text = str(error)
    code, status = _find(r"<Code>(\w+)</Code>", text), _find(r"status code: (\d+[ A-Za-z]*)", text).strip()
    place = endpoint or "amazonaws.com"
    if code == "NoSuchBucket":
        return BadInput(f"{url}: there is no such bucket at {place}: check the URL and AWS_ENDPOINT_URL")
    if any(host in text for host in _METADATA_SERVICE):
        return BadInput(f"{url} cannot be used, {_NO_CREDENTIALS}")
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(f"{url} does not exist")
    if "range requested" in text or status.startswith("416"):
        return EOFError(f"{url} ends before the bytes that were asked for")
    if isinstance(error, _CONFLICT):
        return Conflict(f"{url} was written by somebody else meanwhile ({code or status})")
    if "incorrectly configured region" in text or status.startswith("301"):
        return BadInput(f"{url}: the bucket is in another region: set AWS_REGION")
    if isinstance(error, _DENIED) or status.startswith(("401", "403")) or code in _EXPIRED:
        return BadInput(f"{url} is denied by {place} ({code or status}): {_ADVICE}")
    if status:
        return Unreachable(f"{url}: {place} answers {status}{_tried(text)}: try again later")
    cause = next((meaning for mark, meaning in _CAUSES.items() if mark in text), _first_line(text))
    return Unreachable(f"{url}: {place} {cause}{_tried(text)}: check AWS_ENDPOINT_URL and the network, then run again")


def _tried(text: str) -> str:
    times = _find(r"after (\d+) retries", text)
    return f", also when tried again {times} times" if times and times != "0" else ""


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


def _first_line(text: str) -> str:
    return f"does not answer ({text.splitlines()[0][:200] if text else 'no reason given'})"
