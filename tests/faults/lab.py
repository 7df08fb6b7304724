"""Whole commands in the process of the test: quick, and faults are one monkeypatch away."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import flows.cli
from storage import Journal
from storage.journal import Record
from tasks.errors import GemmflowError
from tests.faults.world import Done, World

TILES = 16
STOPPED = "stopped by the test"


@dataclass(frozen=True)
class Lab:
    """A world and the commands in it."""

    world: World
    patch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]

    @property
    def out(self) -> Path:
        return self.world.out

    def run(self, *more: str) -> Done:
        """The multiplication."""
        return self.command(*self.world.line, *more)

    def command(self, *line: str) -> Done:
        """Any command line."""
        self.capfd.readouterr()
        with warnings.catch_warnings():
            code = flows.cli.run(list(line))
        return Done(code, *self.capfd.readouterr())

    def stop(self, *more: str, tiles: int = 5) -> Path:
        """Let the multiplication fail after so many tiles are recorded; returns its staging folder."""
        with self.failing(after=tiles):
            done = self.run(*more)
        assert done.code == 1 and STOPPED in done.line, done
        assert len(self.world.recorded()) == tiles
        folder = self.world.staging
        assert folder is not None and str(folder) in done.line
        return folder

    @contextmanager
    def failing(self, after: int) -> Iterator[None]:
        """Within the block the journal takes so many tiles and no more."""
        honest, taken = Journal.append, [0]

        def append(journal: Journal, record: Record) -> None:
            if taken[0] == after:
                raise GemmflowError(STOPPED)
            taken[0] += 1
            honest(journal, record)

        with self.patch.context() as patch:
            patch.setattr(Journal, "append", append)
            yield

    @contextmanager
    def at(self, owner: object, name: str, before: Callable[[], object]) -> Iterator[None]:
        """Within the block something happens before each call of a function."""
        honest = getattr(owner, name)

        def wrapped(*args: object, **kwargs: object) -> object:
            before()
            return honest(*args, **kwargs)

        with self.patch.context() as patch:
            patch.setattr(owner, name, wrapped)
            yield
