"""What a person sees while a run goes on: one bar on a terminal, a line every ten seconds elsewhere, nothing with --quiet."""

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TextIO

from flows.log import is_json
from tasks.outcome import Progress
from tasks.units import format_bytes, format_count, format_seconds

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

LINE_SECONDS = 10.0
"""Between two lines where there is no terminal."""


class Watcher(Protocol):
    """Somebody who watches runs: `begin`, then a call for each finished tile, then `end`. All in the driver's main thread."""

    def begin(self, title: str, seconds: float | None) -> None:
        """A run starts that is predicted to take `seconds`; None where nothing is predicted."""
        ...

    def __call__(self, progress: Progress) -> None:
        """A tile is done."""
        ...

    def end(self) -> None:
        """The run is over, well or not."""
        ...


def choose_watcher(quiet: bool, stream: TextIO = sys.stderr) -> Watcher:
    """The watcher that suits the stream; none where progress goes to the log. Raises BadInput where GEMMFLOW_LOG is wrong."""
    if is_json() or quiet:
        return Nobody()
    return Bar(stream) if stream.isatty() else Lines(stream)


class Nobody:
    """Sees nothing."""

    def begin(self, title: str, seconds: float | None) -> None:
        """Nothing to show."""

    def __call__(self, progress: Progress) -> None:
        """Nothing to show."""

    def end(self) -> None:
        """Nothing to show."""


class Lines:
    """One line every `LINE_SECONDS`, and one for the last tile; for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._title = ""
        self._next = 0.0

    def begin(self, title: str, seconds: float | None) -> None:
        """Say what starts."""
        self._title, self._next = title, time.monotonic() + LINE_SECONDS
        self._write(f"starting{predicted(seconds)}")

    def __call__(self, progress: Progress) -> None:
        """Write a line when it is time."""
        if time.monotonic() >= self._next or progress.tiles_done == progress.tiles:
            self._next = time.monotonic() + LINE_SECONDS
            self._write(f"{progress.tiles_done}/{progress.tiles} tiles, {rates(progress)}, {left(progress)}")

    def end(self) -> None:
        """Nothing more to say."""

    def _write(self, text: str) -> None:
        with suppress(OSError):  # nobody listens: no reason to stop
            print(f"{self._title}: {text}", file=self._stream, flush=True)


class Bar:
    """One bar on a terminal. It stands still while workers start, and its estimate begins with the plan's prediction."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: Bars | None = None

    def begin(self, title: str, seconds: float | None) -> None:
        """Show an empty bar with the predicted time."""
        from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
        from rich.progress import Progress as Bars  # noqa: PLC0415

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[tiles]}  {task.fields[rates]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bars = Bars(*columns, console=Console(file=self._stream), transient=True, refresh_per_second=4)
        self._bars.start()
        self._bars.add_task(title, total=1.0, tiles="starting workers", rates="", left=predicted(seconds).lstrip(", "))

    def __call__(self, progress: Progress) -> None:
        """Move the bar by work done, not by tiles: edge tiles are small."""
        if self._bars is not None:
            share = progress.flops_done / progress.flops
            tiles = f"{progress.tiles_done}/{progress.tiles} tiles"
            self._bars.update(self._bars.task_ids[0], completed=share, tiles=tiles, rates=rates(progress), left=left(progress))

    def end(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


def predicted(seconds: float | None) -> str:
    """What was predicted, if anything."""
    return "" if seconds is None else f", predicted {format_seconds(seconds)}"


def rates(progress: Progress) -> str:
    """Speed and bytes so far."""
    speed = format_count(progress.flops_done / max(progress.seconds, 1e-9), "FLOP/s")
    return f"{speed}, {format_bytes(progress.bytes_moved)}"


def left(progress: Progress) -> str:
    """The estimate."""
    return f"{format_seconds(max(0.0, progress.seconds_left))} left" if progress.tiles_done < progress.tiles else "done"
