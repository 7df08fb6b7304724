"""compose.yaml, linted: nothing here can start it. What needs no image, the Dask part and its health checks, is run below."""

import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from tests.deployments.commands import DEPLOYMENTS, OURS, PLAIN_HTTP, check_command, check_prefect_settings, ports_of
from tests.flows.prefect_api import free_port
from tests.flows.processes import wait_until

TEXT = (DEPLOYMENTS / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
PORTS = {"postgres": {5432}, "server": {4200}, "worker": {8080}, "dask-scheduler": {8786, 8787}, "dask-worker": {8790}}

each = pytest.mark.parametrize("name", SERVICES)


def value(text: str) -> str:
    """What Compose makes of a variable that is not set; the question mark is an error there."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


@each
def test_every_image_is_ours_or_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image == OURS if name != "postgres" else re.fullmatch(r"postgres:\d+-\w+", image)
    if image == OURS:
        build = SERVICES[name]["build"]
        assert (DEPLOYMENTS / build["context"] / build["dockerfile"]).resolve() == DEPLOYMENTS / "Dockerfile"


@each
def test_nobody_is_root_and_nobody_becomes_it(name: str) -> None:
    user, group = value(SERVICES[name]["user"]).split(":")
    assert int(user) > 0 and int(group) > 0
    assert SERVICES[name]["cap_drop"] == ["ALL"] and SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


@each
def test_it_is_healthy_where_it_listens(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD" and {"interval", "timeout", "retries", "start_period"} <= set(check)
    urls = PLAIN_HTTP.findall(" ".join(check["test"]))
    assert {int(port) for port, _ in urls} <= PORTS[name] and len(urls) == (name != "postgres")


@each
def test_its_ports_are_those_of_its_command(name: str) -> None:
    service = SERVICES[name]
    opened = {int(port.rpartition(":")[2]) for port in (*service.get("ports", ()), *service.get("expose", ()))}
    assert opened == PORTS[name] == (ports_of(service.get("command", [])) or {5432})
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@each
def test_its_command_would_be_understood(name: str) -> None:
    if "command" in SERVICES[name]:
        check_command(SERVICES[name]["command"])


@each
def test_it_waits_for_services_that_exist_and_finds_them_by_name(name: str) -> None:
    service = SERVICES[name]
    waits = service.get("depends_on", {})
    assert all(how == {"condition": "service_healthy"} and other in SERVICES for other, how in waits.items())
    text = " ".join([*service.get("command", []), *map(str, service.get("environment", {}).values())])
    for host, port in re.findall(r"(?:http|tcp)://([a-z-]+):(\d+)", text):
        assert int(port) in PORTS[host] and host in waits


@each
def test_its_volumes_are_declared_or_folders(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = re.sub(r"\$\{[^}]*\}", "/data", volume).partition(":")[0]
        assert source.startswith(("/", ".")) or source in COMPOSE["volumes"]


def test_the_database_of_the_server_is_the_one_beside_it() -> None:
    server, postgres = SERVICES["server"]["environment"], SERVICES["postgres"]["environment"]
    for theirs, ours in (("POSTGRES_DB", "NAME"), ("POSTGRES_USER", "USER")):
        assert postgres[theirs] == server[f"PREFECT_SERVER_DATABASE_{ours}"]
    assert server["PREFECT_SERVER_DATABASE_HOST"] in SERVICES
    for name in ("server", "worker"):
        check_prefect_settings(SERVICES[name]["environment"])


def test_prefect_makes_one_address_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import Settings

    for name, text in SERVICES["server"]["environment"].items():
        monkeypatch.setenv(name, "a:b@c" if "$" in text else text)
    database = Settings().server.database
    assert database.connection_url.get_secret_value() == "postgresql+asyncpg://prefect:a%3Ab%40c@postgres:5432/prefect"
    assert metadata.version("asyncpg")


def test_secrets_come_from_the_environment_and_must_be_there() -> None:
    secrets = [
        text for service in SERVICES.values() for name, text in service.get("environment", {}).items() if re.search("PASSWORD|AUTH", name)
    ]
    assert len(secrets) == 4 and all(re.fullmatch(r"\$\{\w+:\?[^}]*\}", text) for text in secrets)


def test_workers_see_the_files_where_the_worker_of_prefect_does() -> None:
    mounts = {name: SERVICES[name]["volumes"][0].rpartition(":")[2] for name in ("worker", "dask-worker")}
    assert mounts == {"worker": "/data", "dask-worker": "/data"}


@pytest.mark.slow
def test_its_dask_commands_and_health_checks_work_on_this_host(tmp_path: Path) -> None:
    """As they stand, but for the addresses."""
    moved = {port: free_port() for port in (8786, 8787, 8790)}

    def here(command: list[str]) -> list[str]:
        text = "\0".join(command).replace("dask-scheduler", "127.0.0.1").replace("/tmp", str(tmp_path))
        for port, other in moved.items():
            text = text.replace(str(port), str(other))
        return text.split("\0")

    def healthy(name: str) -> bool:
        program = here(SERVICES[name]["healthcheck"]["test"])[3]
        return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0

    started = []
    assert not healthy("dask-scheduler")
    try:
        for name in ("dask-scheduler", "dask-worker"):
            program = [sys.executable, "-m", *here(SERVICES[name]["command"])]
            started.append(subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            wait_until(lambda name=name: healthy(name), 60)
        multiplied = subprocess.run(
            [sys.executable, "-c", MULTIPLY, f"tcp://127.0.0.1:{moved[8786]}"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (multiplied.returncode, multiplied.stdout.strip()) == (0, "True"), multiplied.stderr
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)
            time.sleep(0.1)


MULTIPLY = """
import sys
import numpy as np
from flows import multiply
np.save("a.npy", np.arange(20, dtype="int8").reshape(4, 5))
np.save("b.npy", np.arange(30, dtype="int8").reshape(5, 6))
print(multiply(a="a.npy", b="b.npy", out="c.zarr", direct=True, cluster=sys.argv[1]).certificate.exact)
"""
