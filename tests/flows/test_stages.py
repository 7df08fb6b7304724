from dataclasses import fields
from importlib import import_module
from inspect import signature

import pytest

from flows.stages import STAGES, Stages, direct_stages
from tasks.errors import BadInput
from tasks.job import Job


def test_the_table_has_one_row_for_each_stage_in_order() -> None:
    assert [row.name for row in STAGES] == [field.name for field in fields(Stages)]


@pytest.mark.parametrize("row", STAGES, ids=lambda row: row.name)
def test_every_row_names_a_function_with_the_arguments_of_its_stage(row) -> None:
    module, _, name = row.function.partition(":")
    function = getattr(import_module(module), name)
    declared = next(field for field in fields(Stages) if field.name == row.name).type
    arguments = declared.partition("[[")[2].partition("]")[0].split(", ")
    required = [parameter for parameter in signature(function).parameters.values() if parameter.default is parameter.empty]
    assert len(required) == len(arguments)


@pytest.mark.parametrize("row", [row for row in STAGES if row.shown_by], ids=lambda row: row.name)
def test_every_artifact_has_its_wrapper(row) -> None:
    assert callable(getattr(import_module("flows.artifacts"), row.shown_by))


def test_only_a_stage_that_writes_nothing_is_tried_again() -> None:
    assert [row.name for row in STAGES if row.retries] == ["measure"]


def test_direct_stages_call_the_functions(tmp_path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        direct_stages().survey(Job(a=str(tmp_path / "a"), b=str(tmp_path / "b"), out=str(tmp_path / "c")))
