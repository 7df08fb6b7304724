"""The reference is what the code says, and the tables that it is made of are complete."""

import re
from pathlib import Path

import pytest

from flows.ending import EXIT_CODES
from flows.reference import FOLDER, pages, registered
from flows.reference_tables import errors_table, fields_of, options_of
from flows.report_keys import KEYS
from flows.variables import VARIABLES
from tasks.job import Job

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "run `python -m flows.reference`"
READ = re.compile(
    r'environ(?:\.get\(|\[)"(\w+)"|^\w*(?:, \w+)* = "((?:GEMMFLOW|PREFECT)_\w+)"(?:, "(GEMMFLOW_\w+)")?$|"(AWS_\w+)"', re.MULTILINE
)
PASSED_ON = {"PYTHONPATH"}
"""Read only to be handed to child processes."""
BY_PREFECT = {"PREFECT_API_AUTH_STRING"}
"""Read by Prefect itself."""


def read_by_the_code() -> set[str]:
    """Names of environment variables, as far as the code spells them out."""
    text = "\n".join(path.read_text() for folder in ("flows", "tasks", "storage") for path in sorted((ROOT / folder).glob("*.py")))
    return {name for found in READ.findall(text.replace((ROOT / "flows/variables.py").read_text(), "")) for name in found if name}


@pytest.mark.parametrize("name", pages())
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text() == pages()[name], AGAIN


def test_there_are_no_other_pages() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(pages()), AGAIN


def test_every_variable_that_is_read_has_its_row() -> None:
    assert {variable.name for variable in VARIABLES} == (read_by_the_code() | BY_PREFECT) - PASSED_ON


def test_every_key_of_the_report_is_explained_in_its_order() -> None:
    golden = [line.split()[0] for line in (ROOT / "tests/golden/report-schema-1.txt").read_text().splitlines()]
    told = [key for key in KEYS if key != "error.arithmetics"]
    assert told == [key for key in golden if not key.startswith(("job.", "error.arithmetics"))]


def test_every_field_of_a_job_has_type_and_meaning() -> None:
    rows = [line.split(" | ") for line in fields_of(Job).splitlines()[2:]]
    assert [row[0].strip("| `") for row in rows] == list(Job.model_fields)
    assert all(row[1].strip() and row[-1].strip(" |") for row in rows)
    assert "| `workers` | whole number, ≥ 1, ≤ 4096 |" in fields_of(Job)


def test_every_option_of_a_command_has_its_meaning() -> None:
    for command in registered().values():
        rows = [line.split(" | ") for line in options_of(command).splitlines()[2:]]
        assert len(rows) == len([parameter for parameter in command.params if "--help" not in parameter.opts])
        assert all(row[1].strip(" |") for row in rows)


def test_every_error_has_an_exit_code_of_the_table() -> None:
    codes = {int(line.split(" | ")[1]) for line in errors_table().splitlines()[2:]}
    assert codes | {0} == set(EXIT_CODES)
