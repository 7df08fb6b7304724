"""Whether the data choose the right codec: each candidate's total time against the choice's, on each kind of product.

    python -m benchmarks.codecs [--rounds 9] [--portable no] [--durability process]

Time of a codec is what one worker takes to encode a product, write it, read it and decode it, chunk by chunk. Rounds are
interleaved: every round runs every candidate once, and the table holds medians, so that a machine's mood falls on all alike.
The choice is made as in a run, from samples and from this machine's measured write and read rates. Far: its time over the least.
"""

import argparse
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from benchmarks.kinds import KINDS, values
from storage import CODECS, Codec, OutputSpec, automatic_codecs, create_staging, declare_codec, discard, open_matrix, write_block
from tasks.compression import CodecChoice
from tasks.rates import measure_worker
from tasks.trials import take_pieces, try_codecs

EDGE, CHUNK = 4096, 2048
LIMIT = 0.05
LEAST_RATIO = {
    "yes": {"normal": 1.10, "relu": 1.8, "bf16": 2.5, "integer": 2.1, "smooth": 1.6},
    "no": {"normal": 1.19, "relu": 2.2, "bf16": 2.6, "integer": 2.6, "smooth": 4.0},
}


def main() -> None:
    """Print one table of times and one of ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--edge", type=int, default=EDGE)
    parser.add_argument("--kind", choices=KINDS, action="append", help="default: all")
    parser.add_argument("--portable", choices=["yes", "no"], default="yes")
    parser.add_argument("--durability", choices=["power", "process"], default="power")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = automatic_codecs(np.dtype("float32"), options.portable == "yes")
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="codecs-") as folder:
        rates = measure_worker("cpu", folder).rates
        write = rates.write if options.durability == "power" else rates.write_unsynced
        auto = CodecChoice("auto", tuple(row.name for row in rows), write, rates.decode["none"])
        print(f"write {write / 1e6:.0f} MB/s, read {auto.read / 1e6:.0f} MB/s; float32, {options.edge}², {options.rounds} rounds")
        for kind in options.kind or KINDS:
            matrix = values(kind, options.edge)
            report(kind, matrix, rows, auto, Place(Path(folder), options.durability), options)


class Place:
    """Where products are written, and how."""

    def __init__(self, folder: Path, durability: Literal["power", "process"]) -> None:
        self.folder, self.durability, self.count = folder, durability, 0

    def seconds(self, matrix: np.ndarray, codec: Codec) -> float:
        """Encode, write, read and decode the whole matrix."""
        self.count += 1
        chunk = min(CHUNK, len(matrix))
        spec = OutputSpec(matrix.shape, "float32", (chunk, chunk), codec.name)
        staging = create_staging(self.folder / "C", spec, self.durability, f"r{self.count}")
        declare_codec(staging.array, codec, 4)
        places = list(product(range(0, len(matrix), chunk), repeat=2))
        blocks = [np.ascontiguousarray(matrix[top : top + chunk, left : left + chunk]) for top, left in places]
        target, stored = np.empty((chunk, chunk), np.float32), open_matrix(Path(staging.array))
        start = time.perf_counter()
        for (top, left), block in zip(places, blocks, strict=True):
            write_block(staging, top, left, block)
        for (top, left), block in zip(places, blocks, strict=True):
            stored.read_into(target[: block.shape[0], : block.shape[1]], slice(top, top + len(block)), slice(left, left + block.shape[1]))
        seconds = time.perf_counter() - start
        discard(staging)
        return seconds


def report(kind: str, matrix: np.ndarray, rows: tuple[Codec, ...], auto: CodecChoice, place: Place, options: argparse.Namespace) -> None:
    """One kind: medians of every candidate, the choice, how far it is, and the ratio of `smallest`."""
    spec = OutputSpec(matrix.shape, "float32", (min(CHUNK, len(matrix)),) * 2, "auto")
    pieces = take_pieces(torch.from_numpy(matrix), spec)
    chosen, smallest = (try_codecs(pieces, CodecChoice(goal, auto.names, auto.write, auto.read)).codec for goal in ("auto", "smallest"))
    rounds = [[place.seconds(matrix, codec) for codec in rows] for _ in range(options.rounds + 1)][1:]
    medians = {codec.name: statistics.median(seconds) for codec, seconds in zip(rows, zip(*rounds, strict=True), strict=True)}
    best = min(medians, key=medians.__getitem__)
    far = medians[chosen] / medians[best] - 1
    ratio = matrix.nbytes / len(CODECS[smallest].encode(matrix))
    least = LEAST_RATIO[options.portable].get(kind, 0.0)
    print(f"{kind:8}  auto {chosen:22} {100 * far:5.1f} % from {best:22} {'ok' if far <= LIMIT else 'TOO FAR'}")
    print(f"{'':8}  smallest {smallest:18} {ratio:5.2f} : 1, asked {least:.2f} {'ok' if ratio >= least else 'TOO LARGE'}")
    print(f"{'':8}  " + ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in medians.items()), flush=True)


if __name__ == "__main__":
    main()
