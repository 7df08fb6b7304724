from typing import Annotated, get_args, get_origin

import pytest
import typer
from pydantic import BaseModel
from typer.testing import CliRunner

from flows.options import METAVARS, Group, Manner, Shown, command
from tasks.errors import BadInput
from tasks.job import Job


def app_of(*groups: Group) -> tuple[typer.Typer, list[tuple[BaseModel, ...]]]:
    app, calls = typer.Typer(), []
    command(app, "try", *groups)(lambda *values: calls.append(values) or 0)
    return app, calls


def test_every_field_of_a_job_is_a_parameter_with_its_docstring() -> None:
    parameters = {parameter.name: parameter for parameter in Group(Job).parameters()}
    assert list(parameters) == list(Job.model_fields)
    for name, field in Job.model_fields.items():
        assert get_origin(parameters[name].annotation) is Annotated
        assert get_args(parameters[name].annotation)[1].help.startswith(" ".join(field.description.split()))


def test_options_reach_the_value() -> None:
    app, calls = app_of(Group(Job), Group(Manner))
    line = "a b c --transpose-b --max-error 1e-3 --memory 2GiB --chunk 8,16 --shard 8,32 --dtype-out float64 --json - --quiet --workers 3"
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == 0, result.output
    job, manner = calls[0]
    assert isinstance(job, Job) and isinstance(manner, Manner)
    assert (job.transpose_a, job.transpose_b, job.max_error, job.memory) == (False, True, 1e-3, 2 * 2**30)
    assert (job.chunk, job.shard, job.dtype_out, job.workers) == ((8, 16), (8, 32), "float64", 3)
    assert (manner.json_path, manner.quiet, manner.html_path) == ("-", True, None)


def test_what_is_not_given_keeps_the_default_of_the_value() -> None:
    app, calls = app_of(Group(Job), Group(Manner))
    assert CliRunner().invoke(app, ["a", "b", "c"]).exit_code == 0
    assert calls[0] == (Job(a="a", b="b", out="c"), Manner())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--max-error -1", "give a positive number"),
        ("--max-error nan", "give a positive number"),
        ("--max-error 0", "give a positive number"),
        ("--memory much", "is not a size"),
        ("--memory 1KiB", "no worker fits"),
        ("--precision float31", "did you mean float32"),
        ("--codec blosc-lz5", "did you mean blosc-lz4"),
        ("--cluster somewhere", "tcp://host:port"),
        ("--workers 0", "workers"),
        ("--chunk 0,4", "at least 1"),
        ("--chunk 4", "chunk"),
        ("--shard 8,12 --chunk 8,8", "such as 8,16"),
        ("--dtype-out int8", "dtype_out"),
        ("--beta 2", "beta and add belong together"),
    ],
)
def test_refused_values_are_bad_input_in_one_line(line: str, says: str) -> None:
    app, calls = app_of(Group(Job))
    result = CliRunner().invoke(app, ["a", "b", "c", *line.split()])
    assert isinstance(result.exception, BadInput)
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)
    assert calls == []


def test_an_optional_argument_is_completed() -> None:
    app, calls = app_of(Group(Job, optional=("out",), complete=lambda fields: {"out": "elsewhere"} | fields))
    assert CliRunner().invoke(app, ["a", "b"]).exit_code == 0
    assert CliRunner().invoke(app, ["a", "b", "here"]).exit_code == 0
    assert [call[0].out.rpartition("/")[2] for call in calls] == ["elsewhere", "here"]


def test_metavars_name_fields_that_exist() -> None:
    from flows.analyze_question import Subject, Wanted
    from flows.batch import BatchRun
    from flows.cli_agents import Agents
    from flows.cli_host import Described, Pages
    from flows.cli_results import Rewrapping
    from flows.demo import DemoSize

    known = {
        *BatchRun.model_fields,
        *Job.model_fields,
        *Manner.model_fields,
        *Shown.model_fields,
        *Pages.model_fields,
        *Described.model_fields,
        *DemoSize.model_fields,
        *Rewrapping.model_fields,
        *Agents.model_fields,
        *Subject.model_fields,
        *Wanted.model_fields,
    }
    assert set(METAVARS) <= known
