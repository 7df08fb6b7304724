"""What sealing costs beside encoding: the encode seconds of `write_block`, plain and sealed in turn, codec by codec.

    python -m benchmarks.sealing [--edge 2048] [--rounds 7] [--kind random] [--codec zstd]

Each round writes the same matrix once plain and once sealed, so that both see the same machine; the first round warms up. The key
is made for the moment. Asked: at most LIMIT of the encode time, where the processor has AES instructions. Codec `none` encodes by
hashing alone, so that sealing, about as fast as the hash, is seen most there.
"""

import argparse
import os
import secrets
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.kinds import KINDS, values
from storage import CODECS, OutputSpec, Start, create_seal, create_staging, discard, write_block

LIMIT = 0.10
KEY = "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edge", type=int, default=2048, help="of the matrix, float32, in chunks of 1024 x 1024")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--kind", choices=KINDS, default=next(iter(KINDS)))
    parser.add_argument("--codec", choices=CODECS, action="append", help="default: all that are installed")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    os.environ[f"GEMMFLOW_KEY_{KEY.upper()}"] = secrets.token_hex(32)
    matrix = values(options.kind, options.edge)
    print(f"{options.kind}, float32, {options.edge}², {options.rounds} rounds; AES instructions: {has_aes()}")
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="sealing-") as folder:
        for name in options.codec or [name for name, codec in CODECS.items() if codec.installed]:
            report(name, matrix, Path(folder), options.rounds)


def report(codec: str, matrix: np.ndarray, folder: Path, rounds: int) -> None:
    """Print the least seconds of one codec over all rounds: what else runs here only ever adds."""
    pairs = [(encode_seconds(codec, matrix, folder, False), encode_seconds(codec, matrix, folder, True)) for _ in range(rounds + 1)][1:]
    plain, sealed = (min(seconds) for seconds in zip(*pairs, strict=True))
    added = sealed / plain - 1
    verdict = "ok" if added <= LIMIT else "OVER"
    print(f"{codec:22} plain {1000 * plain:7.1f} ms  sealed {1000 * sealed:7.1f} ms  {100 * added:+6.1f} %  {verdict}", flush=True)


def encode_seconds(codec: str, matrix: np.ndarray, folder: Path, sealed: bool) -> float:
    """Seconds of one thread to pad, compress, check, hash and, where that is asked, seal the matrix."""
    edge = min(1024, *matrix.shape)
    spec = OutputSpec(matrix.shape, str(matrix.dtype), (edge, edge), codec, sealed=sealed)
    staging = create_staging(folder / "C", spec, "process", "bench", Start(seal=create_seal(KEY) if sealed else None))
    try:
        return write_block(staging, 0, 0, matrix).encode_seconds
    finally:
        discard(staging)


def has_aes() -> bool:
    """Whether the processor says that it has AES instructions."""
    try:
        return " aes " in Path("/proc/cpuinfo").read_text().replace("\n", " ")
    except OSError:
        return False


if __name__ == "__main__":
    main()
