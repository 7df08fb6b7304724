"""What starts first must start fast: Prefect, Dask and torch are imported where they are used."""

import json
import subprocess
import sys

import pytest

HEAVY = ("prefect", "distributed", "torch", "matplotlib", "scipy")


MODULES = ("batch", "cli", "deploy", "demo", "engine", "gpu", "prefect_file", "serve", "upkeep", "watching")


@pytest.mark.parametrize("module", ["flows", *(f"flows.{name}" for name in MODULES)])
def test_imports_nothing_heavy(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == []


def test_the_functions_are_not_hidden_by_the_modules() -> None:
    program = "import flows, flows.multiply, flows.analyze; print(callable(flows.multiply), callable(flows.analyze))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "True"]
