"""docs/reference, made from the code and of nothing else: commands, fields, variables, exit codes and keys of the report.

    python -m flows.reference [FOLDER]

A test compares the pages with what this makes. Where a text is wrong, its place is the docstring of the field, option or error.
"""

import argparse
from collections.abc import Callable, Iterator
from inspect import Parameter, getdoc, signature
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from pydantic import BaseModel

from flows.batch_entry import Called
from flows.batch_file import Header
from flows.cli import app
from flows.ending import EXIT_CODES
from flows.reference_tables import errors_table, fields_of, named, options_of, plain
from flows.report_keys import KEYS
from flows.serve import served_flows
from flows.show import say
from flows.variables import VARIABLES
from tasks import cluster_file
from tasks.cluster_file import Adapt, ClusterFile, Wait
from tasks.errors import BadInput
from tasks.job import Job, make_job
from tasks.tables import markdown

if TYPE_CHECKING:
    import typer.core

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"

WRONG: tuple[dict[str, object], ...] = (
    {"max_error": 0},
    {"max_error": 2},
    {"alpha": 1e40},
    {"add": "/data/C0"},
    {"memory": "1MiB"},
    {"precision": "float23"},
    {"codec": "lz4"},
    {"chunk": [0, 64]},
    {"chunk": [64, 64], "shard": [100, 100]},
    {"seal": "a key"},
    {"seal": "k", "shard": [64, 64]},
    {"out": "s3://lab/C", "seal": "k"},
    {"guarantee": "measured"},
    {"guarantee": "measured", "max_error": 1e-3, "round": "auto"},
    {"round": "auto"},
    {"store": "triangle", "add": "/data/C0", "beta": 1},
    {"speed": 9},
)
"""Fields that are refused, beside sound A, B and OUT."""


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description="Write the pages of docs/reference anew from the code.")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pages().items():
        (folder / name).write_text(page)
    say(f"wrote {folder}")


def pages() -> dict[str, str]:
    """Every page by its name."""
    return {name: f"# {title}\n\n{_paragraphs(MADE, *body())}\n" for name, (title, body) in PAGES.items()}


def registered() -> "dict[str, typer.core.TyperCommand]":
    """Every command, in the order of the help."""
    return getattr(typer.main.get_command(app), "commands", {})


MADE = "This page is made by `python -m flows.reference` from the code; a test compares."


def _index() -> Iterator[str]:
    yield "\n".join(f"- [{title}]({name})" for name, (title, _) in PAGES.items() if name != "README.md")


def _commands() -> Iterator[str]:
    yield (
        "Sizes are written as 4GiB, 500MB or a number of bytes, pairs as ROWS,COLS. What an option means in detail, its limits and its "
        "default: [a job](job.md). A run without PREFECT_API_URL is recorded by a server of its own, `--direct` by none."
    )
    for name, command in registered().items():
        yield f"## gemmflow {name}"
        yield from (plain(part) for part in (command.help or "").split("\n\n"))
        if len(command.params) > 1:
            yield options_of(command)


def _job() -> Iterator[str]:
    yield (
        "The same fields are options of the command (`max_error` is `--max-error`), keywords in Python, entries of a batch file, and the "
        "form in Prefect. An empty default: the text says what holds then."
    )
    yield fields_of(Job)
    yield "## What is refused"
    yield "Before anything is read, with exit code 2:"
    yield markdown([["given", "said"], *([f"`{_given(fields)}`", _refusal(fields)] for fields in WRONG)], left=2)


def _files() -> Iterator[str]:
    yield "## A file of jobs"
    yield (
        "`gemmflow batch FILE`: a YAML list of jobs, or a mapping with `jobs` and the fields below. Paths are relative to the file, and "
        "may name the time for which it runs: `'scores-{scheduled:%Y-%m-%d}.zarr'`."
    )
    yield fields_of(Header)
    yield "Each entry of `jobs` has the fields of [a job](job.md), and"
    yield fields_of(Called)
    yield "## A cluster file"
    yield "`--cluster NAME` or a path: see [clusters](../clusters.md)."
    yield f"```\n{_drawing(cluster_file.__doc__ or '')}\n```"
    for title, model in (("", ClusterFile), ("`wait`", Wait), ("`adapt_kwargs`", Adapt)):
        if title:
            yield f"{title}: {_sentence(model)}"
        yield fields_of(model)


def _environment() -> Iterator[str]:
    rows = ([f"`{variable.name}`", variable.meaning, variable.default] for variable in VARIABLES)
    yield markdown([["variable", "meaning", "without it"], *rows], left=3)
    yield (
        "Workers that a run starts inherit the environment of the command; those of a running cluster need keys and credentials in theirs. "
        "Prefect's temporary server gets no keys. All other settings of Prefect and Dask are theirs."
    )


def _flows() -> Iterator[str]:
    yield (
        "What `gemmflow ui` and `gemmflow serve` offer, and what a deployment names as its entrypoint. Parameters are mappings with the "
        "fields below, in a form, in `--params` and in the file of a schedule. How to run them: [schedule](../how-to/schedule.md)."
    )
    seen: set[type[BaseModel]] = {Job}
    for flow in served_flows():
        yield f"## {flow.name}"
        yield f"`flows.workflow.{flow.name}_flow`"
        yield plain((getdoc(flow.fn) or "").partition("Args:")[0])
        parameters = signature(flow.fn).parameters.values()
        rows = ([f"`{one.name}`", _kind(one), "needed" if one.default is Parameter.empty else ""] for one in parameters)
        yield markdown([["parameter", "value", ""], *rows], left=3)
        for model in (one.annotation for one in parameters):
            if isinstance(model, type) and issubclass(model, BaseModel) and model not in seen:
                seen.add(model)
                yield f"### {model.__name__}"
                yield fields_of(model)


def _kind(parameter: Parameter) -> str:
    """Type of a parameter, linked where its fields are on a page."""
    if parameter.annotation is Job:
        return "[a job](job.md)"
    models = [part for part in (parameter.annotation,) if isinstance(part, type) and issubclass(part, BaseModel)]
    return f"[{models[0].__name__}](#{models[0].__name__.lower()})" if models else named(parameter.annotation)


def _exit_codes() -> Iterator[str]:
    yield markdown([["code", "meaning"], *([str(code), meaning] for code, meaning in EXIT_CODES.items())], left=2)
    yield (
        "The last line on standard error begins with `gemmflow:` and says what is wrong, with the numbers, and what to change. `--debug` "
        "adds the traceback. A batch ends with the worst code of its jobs. A reader of standard output that stops early "
        "(`--json - | head -1`) changes no exit code."
    )
    yield "## Errors"
    yield "In Python they are classes of `tasks.errors` and `storage.errors`, all of them `GemmflowError`."
    yield errors_table()


def _report() -> Iterator[str]:
    yield (
        "What `--json` writes after `multiply` and `gram`. Bytes are bytes, times are seconds; a number that does not exist is null. `job` "
        "holds the fields of [the job](job.md)."
    )
    yield markdown([["key", "meaning"], *([f"`{key}`", meaning] for key, meaning in KEYS.items())], left=2)


PAGES: dict[str, tuple[str, Callable[[], Iterator[str]]]] = {
    "README.md": ("Reference", _index),
    "commands.md": ("Commands", _commands),
    "job.md": ("A job", _job),
    "files.md": ("Batch files and cluster files", _files),
    "flows.md": ("Flows", _flows),
    "environment.md": ("Environment variables", _environment),
    "exit-codes.md": ("Exit codes and errors", _exit_codes),
    "report.md": ("The JSON report", _report),
}
"""File, title and content."""


def _given(fields: dict[str, object]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in fields.items())


def _refusal(fields: dict[str, object]) -> str:
    try:
        make_job(**{"a": "/data/A", "b": "/data/B", "out": "/data/C", **fields})
    except BadInput as error:
        return str(error)
    raise AssertionError(f"{_given(fields)} is not refused")


def _drawing(text: str) -> str:
    """The indented lines of a docstring."""
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))


def _sentence(model: type[BaseModel]) -> str:
    text = plain((model.__doc__ or "").split("\n")[0])
    return text[0].lower() + text[1:]


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
