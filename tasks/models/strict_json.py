"""JSON files of others, read strictly: one value per name, no NaN, no file that is not small."""

import json
from pathlib import Path
from stat import S_ISREG
from typing import NoReturn

from tasks.errors import BadInput


def read_json(path: Path, limit: int) -> dict[str, object]:
    """The object that a file of at most `limit` bytes holds.

    Raises BadInput: the file is absent, not a file, too large, not UTF-8, not JSON, not an object, or says a field twice.
    """
    try:
        state = path.stat()
        if not S_ISREG(state.st_mode):
            raise BadInput(f"{path} is not a file: give the JSON file itself")
        if state.st_size > limit:
            raise BadInput(f"{path} has {state.st_size} bytes, more than the {limit} that such a file may have: give the right file")
        return decode_object(path.read_bytes(), str(path))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): give a path that exists") from None


def decode_object(data: bytes, name: str) -> dict[str, object]:
    """The object in `data`; `name` says in errors what it is.

    Raises BadInput as `read_json` does.
    """
    try:
        value: object = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise BadInput(f"{name} is not JSON that can be read: it is nested too deeply; download it again") from None
    except ValueError as error:  # also UnicodeDecodeError and JSONDecodeError, and numbers of thousands of digits
        raise BadInput(f"{name} is not JSON that can be read ({' '.join(str(error).split())}): mend it, or download it again") from None
    if not isinstance(value, dict):
        raise BadInput(f"{name} holds a {type(value).__name__}, not an object of fields: give the right file")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{shown(name)} is given twice: keep one")
        found[name] = value
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"it holds {text}, which is no number: put a number or null")


def shown(value: object) -> str:
    """A value from a file, short and on one line.

    >>> shown("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."
    """
    try:
        text = ascii(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 63 else f"{text[:60]}..."
