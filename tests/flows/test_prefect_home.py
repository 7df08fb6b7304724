"""Where Prefect's records lie: a folder of ours unless one is named, made once, and readable by nobody else."""

import socket
import stat
from pathlib import Path

import pytest

from flows import engine
from flows.server import Service, prefect_home
from tasks.errors import BadInput
from tests.flows.processes import Command, cold_home
from tests.flows.test_engine import rows

pytestmark = pytest.mark.timeout(400)


@pytest.mark.slow
@pytest.mark.server
def test_two_first_starts_at_once_share_one_home(tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]) -> None:
    cold = cold_home(tmp_path, warm_cache)
    commands = [
        Command(
            ["multiply", *map(str, small_inputs), str(tmp_path / f"C{number}.zarr"), "--quiet"], tmp_path, {"GEMMFLOW_CACHE": str(cold)}
        )
        for number in range(2)
    ]
    assert [command.end(180)[0] for command in commands] == [0, 0]
    assert len(rows({"home": cold}, "select id from flow_run where state_type = 'COMPLETED'")) == 2


def test_prefect_has_a_home_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path))
    assert prefect_home().parent == tmp_path
    assert prefect_home().name.startswith("prefect-3.")
    monkeypatch.setenv("PREFECT_HOME", "/elsewhere")
    assert prefect_home() == Path("/elsewhere")


def test_a_home_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(BadInput, match=r"below of Prefect's records cannot be made .Not a directory.: name another one in GEMMFLOW"):
        engine.start_server()


def test_a_home_of_ours_is_for_nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (home := tmp_path / "named").mkdir(mode=0o755)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path))
        monkeypatch.delenv("PREFECT_HOME", raising=False)
        for rights in (0o700, 0o755):
            with pytest.raises(BadInput, match="port"):
                engine.start_server(Service(port=taken.getsockname()[1]))
            assert stat.S_IMODE(prefect_home().stat().st_mode) == rights
            monkeypatch.setenv("PREFECT_HOME", str(home))
