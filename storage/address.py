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

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


def is_url(place: str | Path) -> bool:
    """Whether this is a URL, of any scheme, and not a path."""
    return isinstance(place, str) and _URL.match(place) is not None


def absolute(place: str) -> str:
    """Return a place in the form in which it is kept: `absolute("s3://lab/a/") => "s3://lab/a"`.

    Raises BadInput where it is a URL of another scheme or names no bucket and key.
    """
    found = _URL.match(place)
    if found is None:
        return os.path.abspath(Path(place).expanduser())  # noqa: PTH100  resolve() would follow links, which OUT must keep
    scheme, rest = found[1].lower(), found[2].strip("/")
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://bucket/key" for name in SCHEMES)
        raise BadInput(f"{place} has the scheme {scheme}://, which gemmflow does not read: give a path or {known}")
    bucket, _, key = rest.partition("/")
    if not bucket or not key or any(part in ("", ".", "..") for part in key.split("/")) or re.search(r"[@?#\\]", bucket):
        raise BadInput(f"{place} does not name an object: give {scheme}://bucket/key")
    return f"{scheme}://{bucket}/{key}"
