import io

import pytest

from flows import progress as progress_module
from flows.progress import Bar, Lines, Nobody, choose_watcher
from tasks.outcome import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def after(tiles: int) -> Progress:
    return Progress(tiles, 4, tiles * 1e12, 4e12, tiles * 2**30, seconds=tiles * 10.0, seconds_left=(4 - tiles) * 10.0)


def test_the_stream_decides() -> None:
    assert isinstance(choose_watcher(True, Terminal()), Nobody)
    assert isinstance(choose_watcher(False, Terminal()), Bar)
    assert isinstance(choose_watcher(False, io.StringIO()), Lines)


def test_lines_come_every_ten_seconds_and_for_the_last_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    lines = Lines(stream)
    lines.begin("4x5x6 float32", 40.0)
    for tiles, now in ((1, 5.0), (2, 11.0), (3, 12.0), (4, 13.0)):
        clock[0] = now
        lines(after(tiles))
    assert stream.getvalue().splitlines() == [
        "4x5x6 float32: starting, predicted 40.0 s",
        "4x5x6 float32: 2/4 tiles, 100 GFLOP/s, 2.00 GiB, 20.0 s left",
        "4x5x6 float32: 4/4 tiles, 100 GFLOP/s, 4.00 GiB, done",
    ]


def test_the_bar_shows_tiles_speed_bytes_and_the_estimate_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    bar = Bar(stream)
    bar.begin("4x5x6 float32", 40.0)
    assert bar._bars is not None
    bar._bars.refresh()
    bar(after(1))
    bar._bars.refresh()
    bar.end()
    bar.end()
    text = stream.getvalue()
    for part in ("4x5x6 float32", "predicted 40.0 s", "1/4 tiles", "100 GFLOP/s", "1.00 GiB", "30.0 s left"):
        assert part in text
