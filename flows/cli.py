"""The command ``gemmflow``: how commands are found, run and ended. Every error is one line on standard error, see `flows.ending`."""

import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from flows import cli_agents, cli_analyze, cli_host, cli_results, cli_run
from flows.early import INTERRUPTED, SIGNALS, open_streams
from flows.ending import exit_code, failure_line, interrupted_line
from flows.engine import CONSOLE_LEVEL
from flows.show import complain, flush_streams, say, stop_showing
from flows.signals import end_descendants, interruptible
from flows.traces import Traces, followed

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

for group in (cli_run, cli_analyze, cli_results, cli_host, cli_agents):
    group.add_to(app)


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        say(f"gemmflow {metadata.version('gemmflow')}")
        raise typer.Exit


@app.callback()
def gemmflow(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", callback=show_version, is_eager=True)] = False,
) -> None:
    """Multiply matrices that do not fit in memory, to an accuracy that you state and the result proves.

    Start with: gemmflow demo

    Then: gemmflow analyze A B to see what a product needs, gemmflow multiply A B OUT to compute it.
    """
    del version


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code and leaves no process behind."""
    with followed() as traces:
        try:
            return _run(arguments, traces)
        except KeyboardInterrupt as late:  # the signal came while the command was ending
            end_descendants()
            return _fail(late, arguments, traces)


def _run(arguments: list[str], traces: Sequence[Traces]) -> int:
    debug = "--debug" in arguments
    with interruptible(lambda: f"gemmflow: {interrupted_line(arguments, traces)}"), quiet(not debug):
        try:
            code = int(typer.main.get_command(app).main(arguments or ["--help"], "gemmflow", standalone_mode=False) or 0)
            if code == INTERRUPTED:  # what Typer makes of a KeyboardInterrupt
                raise KeyboardInterrupt
            return code
        except BaseException as error:  # noqa: BLE001 - the last line of defence: people get one line
            if debug:
                traceback.print_exc()
            return _fail(error, arguments, traces)
        finally:
            end_descendants()


@contextmanager
def quiet(wanted: bool) -> Generator[None]:
    """Nothing of what libraries say reaches the terminal, or all of it."""
    before = os.environ.get(CONSOLE_LEVEL)
    os.environ.setdefault(CONSOLE_LEVEL, "CRITICAL" if wanted else "INFO")
    try:
        with warnings.catch_warnings():
            if wanted:
                warnings.simplefilter("ignore")
            yield
    finally:
        if before is None:
            del os.environ[CONSOLE_LEVEL]


def main() -> NoReturn:
    """The console script. After an interruption nothing that libraries do at exit may hold it up."""
    open_streams()
    logging.raiseExceptions = "--debug" in sys.argv  # that something could not be logged is no line of a command
    for number in SIGNALS:  # for before and after the run: end without a traceback
        signal.signal(number, signal.SIG_DFL)
    code = run(sys.argv[1:])
    flush_streams()
    if code == INTERRUPTED:
        os._exit(code)
    sys.exit(code)


def _fail(error: BaseException, arguments: list[str], traces: Sequence[Traces]) -> int:
    if isinstance(error, SystemExit) and isinstance(error.__context__, OSError):  # what Typer makes of a broken pipe
        error = error.__context__
        if isinstance(error, BrokenPipeError):
            stop_showing()
            return 0
    code = exit_code(error)
    complain(interrupted_line(arguments, traces) if code == INTERRUPTED else failure_line(error, traces))
    return code


if __name__ == "__main__":
    main()
