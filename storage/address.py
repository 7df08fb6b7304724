"""Where a matrix is, as a caller writes it: a path on this host's file systems or the URL of an object store.

data/a.zarr   -> /home/ada/data/a.zarr        absolute, links as named
s3://lab/a    -> s3://lab/a                   as it is, without slashes at the end
gs://lab/a    -> BadInput                     not claimed, because no test runs it
"""

import os
import re
from pathlib import Path

from storage.errors import BadInput

SCHEMES = ("s3",)
"""Schemes of object stores."""

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes that file systems and Linux allow."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


def is_url(place: str | Path) -> bool:
    """Whether this is a URL, of any scheme, and not a path."""
    return isinstance(place, str) and _URL.match(place) is not None


def expanded(place: str | Path) -> Path:
    """A path with ~ and ~user replaced. Raises BadInput where no file can have it."""
    try:
        path = Path(place).expanduser()
        names = [os.fsencode(name) for name in path.parts]
    except RuntimeError:
        raise BadInput(f"{place}: there is no such user: write the folder out") from None
    except UnicodeEncodeError:
        raise BadInput(f"{str(place)!a} is no path: it has a character that no file's name can have") from None
    if any(b"\0" in name for name in names):
        raise BadInput(f"{str(place)!a} is no path: it has a null character")
    longest = max(map(len, names), default=0)
    if longest > LONGEST_NAME or sum(map(len, names)) + len(names) > LONGEST_PATH:
        limits = f"a name has at most {LONGEST_NAME} bytes and a path {LONGEST_PATH}"
        raise BadInput(f"{str(place)[:60]}... is too long, its longest name has {longest} bytes: {limits}")
    return path


def absolute(place: str) -> str:
    """Return a place in the form in which it is kept: `absolute("s3://lab/a/") => "s3://lab/a"`.

    Raises BadInput where it is a URL of another scheme or names no bucket and key, and as `expanded` does.
    """
    found = _URL.match(place)
    if found is None:
        return os.path.abspath(expanded(place))  # noqa: PTH100  resolve() would follow links, which OUT must keep
    scheme, rest = found[1].lower(), found[2].strip("/")
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://bucket/key" for name in SCHEMES)
        raise BadInput(f"{place} has the scheme {scheme}://, which gemmflow does not read: give a path or {known}")
    bucket, _, key = rest.partition("/")
    if not bucket or not key or any(part in ("", ".", "..") for part in key.split("/")) or re.search(r"[@?#\\]", bucket):
        raise BadInput(f"{place} does not name an object: give {scheme}://bucket/key")
    return f"{scheme}://{bucket}/{key}"
