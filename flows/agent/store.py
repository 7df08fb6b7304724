"""The folder in which plans and runs outlive the server: small JSON files, each whole or absent, readable by their owner alone.

STATE/plans/PLAN-ID.json                what was shown (`kept`)
STATE/runs/HANDLE/request.json ...      what was submitted, and how it goes (`runs`)
STATE/slots/0, 1, ...                   locks: so many runs at once
"""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from storage import replace_file
from storage.sync import sync_folder
from tasks.errors import BadInput
from tasks.hardware import cache_folder

PLANS, RUNS, SLOTS = "plans", "runs", "slots"

Document = dict[str, object]


@dataclass(frozen=True)
class Store:
    """The folder."""

    folder: Path

    @property
    def plans(self) -> Path:
        """A file for each plan."""
        return self.folder / PLANS

    @property
    def runs(self) -> Path:
        """A folder for each run."""
        return self.folder / RUNS

    @property
    def slots(self) -> Path:
        """A file for each run that may go on at once."""
        return self.folder / SLOTS


def default_state() -> Path:
    """Where plans and runs are kept unless told otherwise."""
    return cache_folder() / "agent"


def open_store(folder: Path) -> Store:
    """The store in a folder, made where it is missing. Raises BadInput where it cannot be made, or is another user's."""
    store = Store(Path(os.path.realpath(folder)))
    try:
        for part in (store.folder, store.plans, store.runs, store.slots):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = store.folder.stat()
    except OSError as error:
        raise BadInput(f"--state {folder} cannot be made ({error.strerror}): name another folder") from None
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise BadInput(f"--state {folder} can be written by others: chmod 700 it, or name another folder")
    if not os.access(store.runs, os.W_OK | os.X_OK):
        raise BadInput(f"--state {folder} cannot be written: change its permissions, or name another folder")
    return store


def write(path: Path, document: Mapping[str, object], durable: bool = True) -> None:
    """Write a document, whole, in place of what is there. Raises OSError."""
    replace_file(str(path), [json.dumps(document).encode()], durable)
    if durable:
        sync_folder(str(path.parent))


def write_once(path: Path, document: Mapping[str, object]) -> bool:
    """Write a document unless there is one; whether it was written. Raises OSError."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    write(aside, document)
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        return False
    finally:
        aside.unlink()
    sync_folder(str(path.parent))
    return True


def read(path: Path) -> Document | None:
    """The document; None where there is none, or it is none of ours."""
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return cast("Document", content) if isinstance(content, dict) else None


def sweep(folder: Path, older_than: float) -> None:
    """Remove files that were written more than so many seconds ago."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - older_than:
                path.unlink()
