"""Where a command's answer goes: standard output, a JSON file, an HTML page. Places are checked before the work starts."""

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from flows.log import is_json, record
from flows.options import Manner, Output, Running, Shown
from storage import expanded, write_atomically
from tasks.errors import BadInput, GemmflowError

if TYPE_CHECKING:
    from tasks.report import Report

STANDARD_OUTPUT = "-"


def check_places(manner: Running | Shown) -> None:
    """Raise BadInput now rather than after hours, where the report could not be written."""
    for option, place in manner.places().items():
        if place is None or (place == STANDARD_OUTPUT and option == "--json"):
            continue
        if place == STANDARD_OUTPUT:
            raise BadInput(f"{option} {place}: a page goes to a file: name one")
        require_place(option, place)


def require_place(option: str, place: str) -> None:
    """Raise BadInput where no file can be written."""
    try:
        path = expanded(place).absolute()
    except BadInput as error:
        raise BadInput(f"{option} {error}") from None
    if not path.parent.is_dir():
        raise BadInput(f"{option} {place}: the folder {path.parent} does not exist: create it")
    if not os.access(path.parent, os.W_OK) or path.is_dir():
        raise BadInput(f"{option} {place}: nothing can be written there: name another file")


def show_report(report: "Report", manner: Manner) -> None:
    """Print the report and write what was asked for; with ``--json -`` standard output holds the JSON alone."""
    complete = f"; {report.run.job.out} is complete"
    if manner.json_path is not None:
        write_json(report.to_json(), manner.json_path, complete)
    if manner.html_path is not None:
        from tasks.html import render_html  # noqa: PLC0415 - matplotlib takes a second

        write_file(manner.html_path, render_html(report))
    if not manner.quiet and manner.json_path != STANDARD_OUTPUT:
        say(report.to_text(), complete)


def answer(how: Running | Output, value: Mapping[str, object], text: str | None) -> None:
    """Give a command's answer as JSON where that was asked for, and in words unless they are unwanted or there are none.

    With ``--json -`` standard output holds the JSON alone. Raises GemmflowError.
    """
    if how.json_path is not None:
        write_json(value, how.json_path)
    if text is not None and not how.quiet and how.json_path != STANDARD_OUTPUT:
        say(text)


def write_json(value: Mapping[str, object], place: str, unread: str = "") -> None:
    """To a file, whole or not at all; or to standard output, see `say`. Raises GemmflowError."""
    text = json.dumps(value, indent=2, allow_nan=False)
    if place == STANDARD_OUTPUT:
        say(text, unread)
    else:
        write_file(place, f"{text}\n")


def write_file(place: str, text: str) -> None:
    """Whole or not at all. Raises GemmflowError."""
    try:
        write_atomically(expanded(place), text.encode(errors="backslashreplace"))
    except OSError as error:
        raise GemmflowError(f"{place} cannot be written ({error.strerror})") from None


def say(text: str, unread: str = "") -> None:
    """Print for people or pipes. Whoever stops reading wants no more: one line on standard error says so, with `unread` at its end.

    Raises GemmflowError where standard output cannot be written for another reason.
    """
    try:
        print(text.rstrip("\n"), file=sys.stdout, flush=True)  # noqa: T201
    except BrokenPipeError:
        stop_showing(unread)
    except OSError as error:
        _give_up(sys.stdout)
        raise GemmflowError(f"standard output cannot be written ({error.strerror})") from None


def stop_showing(unread: str = "") -> None:
    """Say that nobody reads standard output, and write nothing more to it."""
    _give_up(sys.stdout)
    complain(f"nobody reads standard output any more: not everything was shown{unread}")


def tell(text: str) -> None:
    """Words beside the answer, on standard error: as they are, or as a line of the log."""
    put(record("info", text.strip()) if _is_logged() else text)


def put(text: str) -> None:
    """A text on standard error, if anybody listens."""
    try:
        print(text.rstrip("\n"), file=sys.stderr, flush=True)  # noqa: T201
    except OSError:
        _give_up(sys.stderr)


def complain(text: str) -> None:
    """One line on standard error."""
    line = " ".join(text.split())
    put(record("error", line) if _is_logged() else f"gemmflow: {line}")


def flush_streams() -> None:
    """Send what is still buffered, while a failure can be ignored."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _give_up(stream)


def _is_logged() -> bool:
    try:
        return is_json()
    except BadInput:  # which is just being said
        return False


def _give_up(stream: TextIO) -> None:
    """Let what is still to be written to a stream vanish, or Python would complain of it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
