"""Hand-made runs: reports of any number of tiles without multiplying anything."""

from dataclasses import dataclass, fields, replace

import numpy as np

from storage import ChunkRecord, Matrix, OutputSpec, Staging
from tasks.compression import CodecChoice, Trial, Weighed, choose
from tasks.hardware import Hardware, Layout, Rates
from tasks.job import make_job
from tasks.outcome import Certificate, Measurement, Outcome
from tasks.plan import LANES, Choice, Plan, Prediction, TileShape
from tasks.prepare import Run
from tasks.publish import Stored
from tasks.report import Clock, Report, make_report
from tasks.survey import Operand, Problem
from tasks.verify import NORM

MIB = 2**20
STARTED = 1_900_000_000.0


@dataclass(frozen=True)
class NoSource:
    scratch_bytes: int = 0

    def read_into(self, out, rows, cols):
        raise AssertionError("a hand-made matrix has no elements")


@dataclass(frozen=True)
class Scene:
    """What a hand-made run looks like."""

    grid: tuple[int, int] = (8, 8)
    tile: int = 2048
    k: int = 16384
    workers: int = 2
    dtype: str = "float32"
    unevenness: float = 0.06
    pace: float = 1.05
    """Measured seconds over predicted."""
    tile_seconds: float = 2.2
    seed: int = 7


def matrix(path: str, shape: tuple[int, int], dtype: str) -> Matrix:
    return Matrix(
        path=path,
        format="zarr",
        shape=shape,
        dtype=np.dtype(dtype),
        chunks=(2048, 2048),
        chunk_bytes=2048 * 2048 * np.dtype(dtype).itemsize,
        fingerprint="0123456789abcdef",
        codec="blosc-lz4",
        source=NoSource(),
    )


def problem(scene: Scene) -> Problem:
    m, n = scene.grid[0] * scene.tile, scene.grid[1] * scene.tile
    return Problem(
        Operand(matrix("/data/users.zarr", (m, scene.k), scene.dtype), False),
        Operand(matrix("/data/items.zarr", (n, scene.k), scene.dtype), True),
        None,
    )


def hardware(workers: int) -> Hardware:
    shown = {
        "gemm": {"bfloat16": {"torch": 61e9}, "float32": {"torch": 88e9}, "float64": {"torch": 43e9}},
        "decode": {"blosc-lz4": 2.1e9, "none": 5.5e9},
        "encode": {"blosc-lz4": 1.3e9, "none": 6e9},
        "write": 4.2e8,
        "thin": {},
    }
    rates = Rates(**({field.name: 1e9 for field in fields(Rates)} | shown))
    layout = Layout(workers, 1, 172 * MIB, rates)
    return Hardware("f00dfeedf00dfeed", "AMD EPYC 7B13", workers, 16 * 1024 * MIB, (layout,))


def split(seconds: float) -> dict[str, float]:
    return dict(zip(LANES, (0.13 * seconds, 0.74 * seconds, 0.06 * seconds, 0.03 * seconds, 0.04 * seconds), strict=True))


def plan(scene: Scene) -> Plan:
    m, n, tiles = scene.grid[0] * scene.tile, scene.grid[1] * scene.tile, scene.grid[0] * scene.grid[1]
    itemsize = np.dtype(scene.dtype).itemsize
    square = scene.tile * scene.tile * itemsize
    seconds = scene.tile_seconds * tiles / scene.workers
    items = {
        "interpreter and libraries": 172 * MIB,
        "accumulator": square,
        "slabs of A": 8 * scene.tile * 1024 * itemsize,
        "slabs of B": 2 * scene.tile * 1024 * itemsize,
        "input decoding": 17 * MIB,
        "output encoding": 33 * MIB,
        "verifier": 2 * MIB,
        "headroom": 12 * MIB,
    }
    bytes_written = m * n * itemsize
    bytes_read = (scene.grid[1] * m + scene.grid[0] * n) * scene.k * itemsize // 2
    peak = scene.workers * sum(items.values())
    return Plan(
        shape=(m, scene.k, n),
        arithmetic="float32",
        kernel="torch",
        dtype_out=scene.dtype,
        exact=False,
        tile=TileShape(scene.tile, scene.tile, 1024),
        grid=(*scene.grid, scene.k // 1024),
        residency="A",
        slots=(8, 2),
        device="cpu",
        workers=scene.workers,
        threads_per_worker=1,
        chunk=(2048, 2048),
        codec="blosc-lz4",
        memory_limit=int(peak * 1.08),
        max_error=1e-3,
        predicted=Prediction(
            seconds=seconds + 0.6,
            lanes=split(seconds),
            bytes_read=bytes_read,
            bytes_written=bytes_written,
            peak_memory_bytes=peak,
            memory_items=items,
            error_bound=9.8e-4,
            seconds_interval=(0.85 * seconds, 1.25 * seconds),
        ),
        lower_bound_bytes=int((bytes_read + bytes_written) / 1.31),
        choices=(
            Choice("bfloat16", 8.1e-3, 1.44 * seconds, "bound above the error asked"),
            Choice("float32", 9.8e-4, seconds, "chosen"),
            Choice("float64", 1.9e-12, float("inf"), "does not fit the memory"),
        ),
        probes=24,
        seed=20260801,
    )


def staging(made: Plan) -> Staging:
    spec = OutputSpec(shape=(made.shape[0], made.shape[2]), dtype=made.dtype_out, chunks=made.chunk, codec=made.codec)
    return Staging("/data/scores.zarr", "20260801-101502-7f3a", 1, spec, "power")


def measurements(scene: Scene) -> tuple[Measurement, ...]:
    """A snake over the tiles; each worker takes the next tile when it is free, starts a little late and pauses between tiles."""
    random = np.random.default_rng(scene.seed)
    free = [STARTED + 0.4 + 0.05 * worker for worker in range(scene.workers)]
    tiles: list[Measurement] = []
    for index in range(scene.grid[0] * scene.grid[1]):
        worker = int(np.argmin(free))
        row, place = divmod(index, scene.grid[1])
        turned = place == 0
        seconds = split(scene.pace * scene.tile_seconds * float(random.normal(1, scene.unevenness)))
        seconds["read"] *= 1.9 if turned else 0.9
        start = free[worker]
        free[worker] = start + 1.01 * sum(seconds.values())
        tiles.append(_tile(scene, index, (row, scene.grid[1] - 1 - place if row % 2 else place), worker, (start, free[worker]), seconds))
        free[worker] += 0.006
    return tuple(tiles)


def certificate(**changes: object) -> Certificate:
    made = Certificate(
        norm=NORM,
        asked=1e-3,
        promised=9.8e-4,
        measured=3.14e-8,
        confidence=0.999,
        guarantee="certified",
        arithmetic="float32",
        probes=24,
        seed=20260801,
        exact=False,
        norm_a=16384.2,
        norm_b=16391.7,
    )
    return replace(made, **changes)


def weighed() -> tuple[Weighed, ...]:
    trials = [Trial("none", 1.0, 9e9, 5e9), Trial("blosc-lz4", 1.17, 1.4e9, 2.9e9), Trial("zstd-3", 1.08, 3e8, 6e8)]
    return choose(trials, CodecChoice("auto", ("none", "blosc-lz4", "zstd-3"), 1.2e8, 3e9)).weighed


def report(scene: Scene | None = None, proof: Certificate | None = None, resumed: int = 0, **plan_changes: object) -> Report:
    scene = scene or Scene()
    tiles, chosen = measurements(scene), replace(plan(scene), **plan_changes)
    paths = {"a": "/data/users.zarr", "b": "/data/items.zarr", "out": "/data/scores.zarr"}
    job = make_job(**paths, transpose_b=True, max_error=1e-3, memory=chosen.memory_limit)
    run = Run("20260801-101502-7f3a", job, problem(scene), hardware(scene.workers), chosen, staging(chosen), STARTED)
    seconds = max(tile.finished for tile in tiles) - STARTED
    stored = sum(tile.bytes_stored for tile in tiles)
    why = "fast and never larger than raw"
    place = Stored("blosc-lz4", why, chosen.predicted.bytes_written / stored, stored, "b3:5d41402abc4b2a76b9719d911017c592", weighed())
    return make_report(run, Outcome(tiles, seconds - 0.4, 0, resumed), proof or certificate(), place, Clock(3.42, seconds + 0.3))


def _tile(scene: Scene, index: int, place: tuple[int, int], worker: int, span: tuple[float, float], lanes: dict[str, float]) -> Measurement:
    expected, tiles = plan(scene).predicted, scene.grid[0] * scene.grid[1]
    stored = int(expected.bytes_written / tiles / 1.17)
    return Measurement(
        index=index,
        row=place[0],
        col=place[1],
        worker=f"tcp://127.0.0.1:{40000 + worker}",
        started=span[0],
        finished=span[1],
        lanes=lanes,
        bytes_read=expected.bytes_read // tiles,
        bytes_written=expected.bytes_written // tiles,
        peak_bytes=int(expected.peak_memory_bytes / scene.workers * (0.93 + 0.02 * (worker % 3))),
        square_a=1.0,
        square_b=1.0,
        square_c0=0.0,
        square_residual=1e-9,
        worst=0.2,
        chunks=(ChunkRecord(f"c/{place[0]}/{place[1]}", stored, 1, "ab" * 32, "cd" * 32),),
    )
