"""Who may talk to scheduler and workers: only those that hold the cluster's certificate, over TLS in both directions.

Whoever reaches a Dask scheduler can have its workers run anything, so on a shared host an open port on 127.0.0.1 is an open door.

    workers of this host      certificates made for this one cluster, in its private folder, gone with it
    GEMMFLOW_TLS=FOLDER       your own: ca.pem, cert.pem, key.pem; for tls://host:port, too
    GEMMFLOW_TLS=no           none, in the clear
    a cluster file's class    what it brings along (`security: true`), or GEMMFLOW_TLS: a folder that is at the same place on every host

Certificates travel as files that only their owner may read, never as parameters.
"""

import os
import ssl
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from storage import expanded
from tasks.errors import BadInput

if TYPE_CHECKING:
    from distributed.security import Security

TLS = "GEMMFLOW_TLS"
"""Environment variable."""

FOLDER = "tls"
"""Of a cluster's own certificates, in its folder."""

CA, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"

_PRIVATE = 0o077
"""Rights that nobody but the owner of a key may have."""

_brought: dict[str, "Security"] = {}
"""What clusters that were opened here brought along, by address."""


def for_own_cluster(folder: Path) -> "Security | None":
    """What a cluster on this host uses, its certificates in `folder` where nobody brought any. Raises BadInput as `read` does."""
    chosen = os.environ.get(TLS, "")
    if chosen == "no":
        return None
    return read(expanded(chosen)) if chosen else make(folder)


def for_worker(folder: Path, address: str) -> "Security | None":
    """The same in a worker process of that cluster."""
    if not address.startswith("tls://"):
        return None
    return read(expanded(os.environ.get(TLS) or folder))


def for_scheduler(address: str) -> "Security | None":
    """What somebody needs who joins the scheduler at an address; None: nothing. Raises BadInput where there is no certificate for it."""
    if address in _brought:
        return _brought[address]
    if not address.startswith("tls://"):
        return None
    from distributed.security import Security  # noqa: PLC0415

    chosen = os.environ.get(TLS, "")
    security = read(expanded(chosen)) if chosen not in ("", "no") else Security()  # the latter as Dask's own configuration says
    if not security.tls_ca_file:
        raise BadInput(f"{address} needs certificates: set {TLS} to a folder with {CA}, {CERTIFICATE} and {KEY}")
    return security


def settings() -> dict[str, object]:
    """GEMMFLOW_TLS as Dask's settings, which its own classes hand on to what they start on other hosts. Raises BadInput as `read` does."""
    chosen = os.environ.get(TLS, "")
    if chosen in ("", "no"):
        return {}
    security = read(expanded(chosen).absolute())  # elsewhere it would be another folder
    files = {
        f"distributed.comm.tls.{role}.{what}": getattr(security, f"tls_{role}_{what}")
        for role in ("client", "scheduler", "worker")
        for what in ("cert", "key")
    }
    return {"distributed.comm.require-encryption": True, "distributed.comm.tls.ca-file": security.tls_ca_file, **files}


def is_open(address: str) -> bool:
    """Whether whoever reaches this host's network may talk to a scheduler there."""
    protocol, _, place = address.partition("://")
    host = place.rpartition(":")[0].strip("[]")
    with suppress(ValueError):
        return protocol == "tcp" and not ip_address(host).is_loopback
    return protocol == "tcp" and host != "localhost"


def bring(address: str, security: "Security | None") -> None:
    """Remember what a cluster that was opened here brought along."""
    if security is not None:
        _brought[address] = security


def forget(address: str) -> None:
    """That cluster is closed."""
    _brought.pop(address, None)


def make(folder: Path) -> "Security":
    """Certificates for one cluster in a new folder that only its owner may read."""
    from distributed.security import Security  # noqa: PLC0415

    made = Security.temporary()
    folder.mkdir(mode=0o700)
    for name, content in {CA: made.tls_ca_file, CERTIFICATE: made.tls_client_cert, KEY: made.tls_client_key}.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:  # noqa: PTH123 - a descriptor
            file.write(str(content))
    return read(folder)


def read(folder: Path) -> "Security":
    """Certificates of a folder. Raises BadInput where one is missing, others may read the key, or two who hold them could not talk."""
    from distributed.security import Security  # noqa: PLC0415

    ca, certificate, key = (folder / name for name in (CA, CERTIFICATE, KEY))
    for path in (ca, certificate, key):
        if not path.is_file():
            raise BadInput(f"{TLS} is {folder}, where {path.name} is missing: put {CA}, {CERTIFICATE} and {KEY} there")
    if key.stat().st_mode & _PRIVATE:
        raise BadInput(f"{key} can be read by others: chmod 600 {key}")
    try:
        _shake_hands(*(_context(side, folder) for side in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER)))
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "verify_message", None) or getattr(error, "reason", None) or error.strerror
        raise BadInput(f"{TLS} is {folder}, whose certificates cannot be used ({why}): put valid ones there that go together") from None
    files = ("cert", certificate), ("key", key)
    roles = {f"tls_{role}_{what}": str(path) for role in ("client", "scheduler", "worker") for what, path in files}
    return Security(require_encryption=True, tls_ca_file=str(ca), **roles)


def _context(side: int, folder: Path) -> ssl.SSLContext:
    """As Dask makes it: both sides show a certificate, and names of hosts are not compared."""
    context = ssl.SSLContext(side)
    context.check_hostname, context.verify_mode = False, ssl.CERT_REQUIRED
    context.load_verify_locations(folder / CA)
    context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    return context


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Connect both in memory. Raises ssl.SSLError where one refuses the other."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    for side in (*sides, *sides, *sides):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
