"""The Dockerfile, read as text: nothing here can build it."""

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deployments" / "Dockerfile"
INSTRUCTIONS = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of every instruction, continued lines joined."""
    text = "\n".join(line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.startswith("#"))
    return [tuple(line.split(None, 1)) for line in re.sub(r"\\\n\s*", "", text).splitlines()]


def of(name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions() if instruction == name]


def test_every_instruction_is_one() -> None:
    assert {name for name, _ in instructions()} == INSTRUCTIONS
    assert instructions()[0][0] == "FROM"


def test_the_base_is_pinned_to_the_python_that_the_tests_ran_on() -> None:
    (base,) = of("FROM")
    assert re.fullmatch(r"python:3\.1[123]-slim-\w+", base)


def test_it_runs_as_nobody_in_particular() -> None:
    assert of("USER") == ["10001:10001"]
    last_root = max(place for place, (name, _) in enumerate(instructions()) if name in ("COPY", "RUN"))
    assert last_root < [name for name, _ in instructions()].index("USER")
    assert "--uid 10001" in of("RUN")[-1]


def test_what_is_copied_exists_and_travels_to_the_builder() -> None:
    lines = [line for line in DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines() if line and line[0] != "#"]
    allowed = {line[1:] for line in lines if line.startswith("!")}
    sources = {Path(source).name for arguments in of("COPY") for source in arguments.split()[:-1]}
    assert lines[0] == "*" and sources == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_what_is_copied_is_enough_to_build_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml", "constraints.txt"}
    needed |= set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    installed = next(place for place, (_, text) in enumerate(instructions()) if 'install ".[' in text)
    copied = {Path(part).name for name, text in instructions()[:installed] if name == "COPY" for part in text.split()[:-1]}
    assert needed == copied


def test_every_package_of_the_image_is_pinned() -> None:
    (extras,) = (text.partition("=")[2].split(",") for text in of("ARG") if text.startswith("EXTRAS"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(need for extra in extras for need in project["optional-dependencies"][extra])]
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {re.split(r"[<>=\[ ]", need)[0].lower() for need in wanted} <= pinned
    assert "PIP_CONSTRAINT=/opt/gemmflow/constraints.txt" in of("ENV")[0]


@pytest.mark.parametrize(("device", "installs"), [("cpu", "--extra-index-url"), ("cuda", "install torch"), ("tpu", "exit 1")])
def test_the_device_is_a_build_argument(device: str, installs: str) -> None:
    (choice,) = (text for text in of("RUN") if text.startswith("case"))
    branches = dict(re.findall(r"(cpu|cuda|\*)\) (.*?) ;;", choice))
    (taken,) = [name for name in branches if fnmatch.fnmatch(device, name)][:1]
    assert installs in branches[taken] and "ARG" in dict(instructions()) and "DEVICE=cpu" in of("ARG")
