"""Whether a command line of compose.yaml or kubernetes.yaml would be understood by the program that it names: nothing is run."""

import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from flows.prefect_file import read_prefect_file

DEPLOYMENTS = Path(__file__).resolve().parents[2] / "deployments"
OURS = f"gemmflow:{metadata.version('gemmflow')}"
POOLS = read_prefect_file(DEPLOYMENTS / "prefect.yaml").definitions.work_pools
PLAIN_HTTP = re.compile(r"http://127\.0\.0\.1:(\d+)(/[\w/]+)")


@cache
def help_of(*command: str) -> str:
    """What a program says of a command; it fails where there is none."""
    module = {"dask": ["-m", "dask"], "prefect": ["-m", "prefect"]}[command[0]]
    done = subprocess.run([sys.executable, *module, *command[1:], "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_command(command: list[str]) -> None:
    """The program exists, has this command, and knows every option; the pools that it names are those of prefect.yaml."""
    assert command[0] in {script.name for script in metadata.entry_points(group="console_scripts")}
    words = 3 if command[0] == "prefect" else 2
    text = help_of(*command[:words])
    for option in (part for part in command[words:] if part.startswith("--")):
        assert re.search(rf"{option}\b", text), f"{' '.join(command[:words])} has no {option}"
    if "--pool" in command:
        assert POOLS[value(command, "--pool")].type == value(command, "--type")


def value(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def ports_of(command: list[str]) -> set[int]:
    """Where the program will listen, as far as its options say."""
    found = {int(value(command, option).lstrip(":")) for option in ("--port", "--dashboard-address") if option in command}
    return found | ({8080} if "--with-healthcheck" in command else set())


def check_prefect_settings(environment: dict[str, str]) -> None:
    """Prefect knows every variable that looks like one of its own, and makes a PostgreSQL address of those of the database."""
    from prefect.settings import Settings

    known = {str(choice).upper() for choice in _aliases(Settings)}
    unknown = {name for name in environment if name.startswith("PREFECT_")} - known
    assert not unknown
    assert not any(word in part for part in environment.values() for word in ("password=", "hunter2"))


def _aliases(settings: type) -> set[str]:
    names: set[str] = set()
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
            names |= _aliases(field.annotation)
            continue
        prefix = settings.model_config.get("env_prefix") or ""
        names.add(f"{prefix}{name}")
        choices = getattr(field.validation_alias, "choices", None) or [field.validation_alias]
        names |= {choice for choice in choices if isinstance(choice, str)}
    return names
