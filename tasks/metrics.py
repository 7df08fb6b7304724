"""Prometheus metrics, switched on by GEMMFLOW_METRICS=PORT; without it nothing is loaded, counted or served.

    http://127.0.0.1:PORT/metrics            the process of a run, and with local workers their scheduler in it
    http://127.0.0.1:PORT+1+i/metrics        local worker i

A port that is taken is replaced by a free one. Workers that somebody else started serve what they count at their own
--dashboard-address, where they have GEMMFLOW_METRICS (any number) in their environment. Counting happens after a tile, not in it.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cache
from typing import TYPE_CHECKING

from tasks.errors import BadInput
from tasks.outcome import Measurement, Progress

if TYPE_CHECKING:
    from tasks.prepare import Run

VARIABLE = "GEMMFLOW_METRICS"
HERE = "127.0.0.1"
HIGHEST = 65535
ROUTES = {
    f"distributed.{kind}.http.routes": [f"distributed.http.{kind}.prometheus", "distributed.http.health"]
    for kind in ("scheduler", "worker")
}
"""Dask settings of what is served."""
BUCKETS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)
"""Seconds of a tile."""

Observer = Callable[[Progress], None]


def port_of(place: int = 0) -> int | None:
    """The port of a process of a local cluster, the driver's own being 0; None where metrics are off. Raises BadInput."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) <= HIGHEST:
        raise BadInput(f"{VARIABLE}={text} is no port: give a number from 1 to {HIGHEST}")
    return (int(text) + place - 1) % HIGHEST + 1


def address_of(place: int = 0) -> str:
    """Where such a process serves; any free port where metrics are off, since Dask always opens one."""
    return f"{HERE}:{port_of(place) or 0}"


def routes() -> dict[str, object]:
    """Dask settings that serve metrics, or nothing."""
    return dict(ROUTES) if port_of() else {name: [] for name in ROUTES}


def counted(measurement: Measurement) -> Measurement:
    """The same; on a worker that serves metrics it is counted."""
    if VARIABLE in os.environ:
        _worker_metrics()(measurement)
    return measurement


def watched(run: "Run", observe: Observer) -> Observer:
    """Also sets the gauges of the run, where the driver serves metrics."""
    if port_of() is None:
        return observe
    show = _run_metrics()
    show(run.run_id, Progress(len(run.resumed), run.plan.tiles, 0.0, run.plan.flops, 0, 0.0, run.plan.predicted.seconds))

    def both(progress: Progress) -> None:
        observe(progress)
        show(run.run_id, progress)

    return both


def serve(closing: ExitStack) -> None:
    """Serve the driver's metrics where no scheduler of ours does. A port that is taken: none are served, and nothing else is touched."""
    port = port_of()
    if port is None:
        return
    from prometheus_client import start_http_server  # noqa: PLC0415 - only where it is wanted

    with suppress(OSError):
        server, thread = start_http_server(port, HERE)
        closing.callback(server.server_close)
        closing.callback(thread.join)
        closing.callback(server.shutdown)


@cache
def _worker_metrics() -> Callable[[Measurement], None]:
    from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415

    seconds = Histogram("gemmflow_tile_seconds", "Seconds of a tile", buckets=BUCKETS)
    lanes = Counter("gemmflow_lane_seconds", "Seconds inside tiles by lane", ["lane"])
    refused = Counter("gemmflow_tiles_not_accepted", "Tiles that failed their check or missed the error asked")
    read = Counter("gemmflow_read_bytes", "Decoded bytes of A and B")
    written = Counter("gemmflow_written_bytes", "Bytes of C before compression")
    stored = Counter("gemmflow_stored_bytes", "Bytes of C as stored")
    peak = Gauge("gemmflow_peak_memory_bytes", "Most resident bytes of this worker in a tile")

    def count(tile: Measurement) -> None:
        seconds.observe(tile.finished - tile.started)
        for lane, taken in tile.lanes.items():
            lanes.labels(lane).inc(max(0.0, taken))
        refused.inc(not tile.accepted)
        read.inc(tile.bytes_read)
        written.inc(tile.bytes_written)
        stored.inc(tile.bytes_stored)
        peak.set(tile.peak_bytes)

    return count


@cache
def _run_metrics() -> Callable[[str, Progress], None]:
    from prometheus_client import Gauge, Info  # noqa: PLC0415

    current = Info("gemmflow_run", "The run that this process drives, or drove last")
    tiles = Gauge("gemmflow_run_tiles", "Tiles of the run")
    done = Gauge("gemmflow_run_tiles_done", "Tiles that are stored")
    share = Gauge("gemmflow_run_share", "Share of the operations that is done, 0 to 1")
    left = Gauge("gemmflow_run_left_seconds", "Estimate of the seconds to come")

    def show(run_id: str, progress: Progress) -> None:
        current.info({"run_id": run_id})
        tiles.set(progress.tiles)
        done.set(progress.tiles_done)
        share.set(progress.flops_done / progress.flops)
        left.set(max(0.0, progress.seconds_left))

    return show
