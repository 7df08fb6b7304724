"""When what is out is given up, and when not."""

import errno
from threading import Event
from types import SimpleNamespace

import pytest

from tasks import watch as module
from tasks.watch import Watch


class Roster:
    """A scheduler with one worker, or one that is silent."""

    workers = ("tcp://a:1",)

    def __init__(self, silent: bool) -> None:
        self.silent, self.looks = silent, 0

    def look(self) -> tuple[str, ...]:
        self.looks += 1
        if self.silent:
            raise TimeoutError
        return self.workers


class FullDisk:
    def sync(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("silent", [False, True])
def test_a_disk_that_is_full_is_not_taken_for_a_scheduler_that_is_silent(monkeypatch: pytest.MonkeyPatch, silent: bool) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.3)
    run, roster, given_up = SimpleNamespace(staging=SimpleNamespace(durability="power"), lease=None), Roster(silent), Event()
    watch = Watch(run, FullDisk(), roster, given_up.set)  # type: ignore[arg-type]
    watch.start()
    try:
        assert given_up.wait(10 if silent else 1) == silent
        assert roster.looks > 1
    finally:
        watch.end()
