"""Who may talk to a cluster: nobody without its certificate; keys are private; a wrong folder is one line."""

import asyncio
import socket
import stat
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dask.config
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from distributed import Client
from distributed.security import Security

from tasks import tls
from tasks.clusters import ClusterSpec, open_cluster, start_loop
from tasks.errors import BadInput
from tasks.tls import CA, CERTIFICATE, KEY, TLS


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterSpec("local", 1)) as opened:
        yield opened


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Certificates that somebody made for himself."""
    tls.make(tmp_path / "own")
    return tmp_path / "own"


def test_a_cluster_of_this_host_is_closed_to_others(cluster) -> None:
    assert cluster.address.startswith("tls://")
    with ExitStack() as closing:
        one = {"timeout": 2, "set_as_default": False, "loop": start_loop(closing)}  # Dask would start a loop for each
        with pytest.raises(TypeError, match="ssl_context"):
            Client(cluster.address, **one)
        with pytest.raises(OSError):
            Client(cluster.address, security=Security.temporary(), **one)
        with pytest.raises(OSError):
            Client(cluster.address.replace("tls", "tcp"), **one)


def test_a_worker_is_closed_to_others(cluster) -> None:
    from distributed.core import rpc

    async def ask(security: Security) -> object:
        (worker,) = cluster.workers
        async with rpc(worker, timeout=2, connection_args=security.get_connection_args("client")) as there:
            return await there.identity()

    assert asyncio.run(ask(cluster.client.security))["type"] == "Worker"
    with pytest.raises(OSError):
        asyncio.run(ask(Security.temporary()))


def test_it_answers_nothing_that_is_not_tls(cluster) -> None:
    host, port = cluster.address.removeprefix("tls://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"\0" * 64)
        with suppress(ConnectionResetError):
            assert len(connection.recv(100)) <= 7  # an alert, or the end


def test_a_scheduler_with_tls_needs_a_certificate() -> None:
    with pytest.raises(BadInput, match=r"tls://127.0.0.1:9 needs certificates: set GEMMFLOW_TLS to a folder"):
        open_cluster(ClusterSpec("tls://127.0.0.1:9"))


def test_its_key_is_private_and_gone_with_it() -> None:
    with open_cluster(ClusterSpec("local", 1)) as opened:
        key = Path(opened.client.security.tls_client_key)
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(key.parent.stat().st_mode) == stat.S_IMODE(key.parent.parent.stat().st_mode) == 0o700
        address = opened.address
        assert tls.for_scheduler(address) is not None
    assert not key.parent.parent.exists()
    with pytest.raises(BadInput, match="needs certificates"):
        tls.for_scheduler(address)


def test_own_certificates_are_used_by_both_sides(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TLS, str(own))
    with open_cluster(ClusterSpec("local", 1)) as opened:
        tls.forget(opened.address)
        with open_cluster(ClusterSpec(opened.address)) as again:
            assert list(again.run_on_workers(np.sqrt, 4.0).values()) == [2.0]


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TLS, "no")
    with open_cluster(ClusterSpec("local", 1)) as opened:
        assert opened.address.startswith("tcp://")


def test_another_clusters_certificate_does_not_let_in(cluster, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls.forget(cluster.address)
    monkeypatch.setenv(TLS, str(own))
    with pytest.raises(BadInput, match=rf"the scheduler at {cluster.address} has other certificates: set {TLS} to a folder with those"):
        open_cluster(ClusterSpec(cluster.address))


@pytest.mark.parametrize("missing", [CA, CERTIFICATE, KEY])
def test_a_folder_that_lacks_a_file_is_refused(own: Path, missing: str) -> None:
    (own / missing).unlink()
    with pytest.raises(BadInput, match=f"GEMMFLOW_TLS is {own}, where {missing} is missing: put"):
        tls.read(own)


def test_a_folder_below_home_may_be_written_with_a_tilde(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(own.parent))
    monkeypatch.setenv(TLS, "~/own")
    with open_cluster(ClusterSpec("local", 1)) as opened:
        assert list(opened.run_on_workers(np.sqrt, 4.0).values()) == [2.0]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [("expired", "certificate has expired"), ("anothers", "KEY_VALUES_MISMATCH"), ("junk", "PEM lib"), ("empty", "NO_CERTIFICATE")],
)
def test_certificates_that_nobody_could_use_are_refused(own: Path, wrong: str, why: str) -> None:
    """Before anything is opened: Dask would say that nobody answers, or show where in its code it was."""
    spoil(own, wrong)
    with pytest.raises(BadInput, match=f"GEMMFLOW_TLS is {own}, whose certificates cannot be used \\(.*{why}.*\\): put valid ones"):
        tls.read(own)


def spoil(own: Path, wrong: str) -> None:
    if wrong == "expired":
        days_ago = datetime.now(UTC) - timedelta(days=3)
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old")])
        made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        made = made.not_valid_before(days_ago).not_valid_after(days_ago + timedelta(days=1)).sign(key, hashes.SHA256())
        for file in (CA, CERTIFICATE):
            (own / file).write_bytes(made.public_bytes(Encoding.PEM))
        (own / KEY).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    elif wrong == "anothers":
        tls.make(own.parent / "other")
        (own / KEY).write_bytes((own.parent / "other" / KEY).read_bytes())
    else:
        (own / CERTIFICATE if wrong == "junk" else own / CA).write_text("junk" if wrong == "junk" else "")


def test_a_key_that_others_may_read_is_refused(own: Path) -> None:
    (own / KEY).chmod(0o640)
    with pytest.raises(BadInput, match="can be read by others: chmod 600"):
        tls.read(own)


def test_nothing_secret_is_shown() -> None:
    made = Security.temporary()
    assert "PRIVATE" not in repr(made)


@pytest.mark.parametrize("relative", [False, True])
def test_classes_of_dask_hand_own_certificates_on(own: Path, monkeypatch: pytest.MonkeyPatch, relative: bool) -> None:
    monkeypatch.chdir(own.parent)
    monkeypatch.setenv(TLS, own.name if relative else str(own))
    with dask.config.set(tls.settings()):
        security = Security()
    assert security.require_encryption
    for role in ("client", "scheduler", "worker"):
        found = security.get_tls_config_for_role(role)
        assert (found["ca_file"], found["cert"], found["key"]) == (str(own / CA), str(own / CERTIFICATE), str(own / KEY))


@pytest.mark.parametrize("chosen", ["", "no"])
def test_without_any_they_are_left_as_they_are(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TLS, chosen)
    assert tls.settings() == {}


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("tcp://10.0.0.7:8786", True),
        ("tcp://[fd00::7]:8786", True),
        ("tcp://head:8786", True),
        ("tls://10.0.0.7:8786", False),
        ("tcp://127.0.0.1:8786", False),
        ("tcp://[::1]:8786", False),
        ("tcp://localhost:8786", False),
        ("inproc://10.0.0.7/1/2", False),
    ],
)
def test_a_scheduler_in_the_clear_is_told_apart(address: str, told: bool) -> None:
    assert tls.is_open(address) == told
