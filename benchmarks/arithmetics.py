"""Every arithmetic of a device beside torch's own multiplications of values in its memory: seconds, error, the verifier's share.

    python -m benchmarks.arithmetics [--device cuda] [--edge 8192] [--depth 2048] [--rounds 5] [--save]

C = A B of normal random float32 values, edge³, slab by slab as a tile is computed: conversion, product, and the verifier's passes over
A, B and C, timed apart. All slabs are the same one, so that only C has to be held whole. Every round runs everything once, and
ratios are within a round. Asked on an H200: bfloat16x6 or x9 at least 1.8 times torch's float32; bfloat16 within 10 % of torch's;
the verifier at most 1 % at 32768³. On 2 cores at 8192³: at most 3 % of float32, 6 % of bfloat16.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.saved import save_as
from tasks import blas, probing
from tasks.devices import DEVICES, torch_dtype
from tasks.hardware import usable_cores
from tasks.kernels import libraries
from tasks.ladder import ARITHMETICS
from tasks.operands import prepare
from tasks.precision import PROBES
from tasks.product import Method, add_product
from tasks.selftest import is_right, method_for
from tasks.switches import IEEE, switched

Seconds = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=DEVICES, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--edge", type=int, default=8192)
    parser.add_argument("--depth", type=int, default=2048, help="of a slab; divides the edge")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--arithmetic", choices=ARITHMETICS, action="append", help="default: all of the device")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    blas.limit_threads(options.threads)
    names = options.arithmetic or [name for name, row in ARITHMETICS.items() if options.device in row.devices]
    found = Bench(options.device, options.edge, options.depth).run(names, options.rounds)
    print(table(found))
    if options.save:
        name = torch.cuda.get_device_name() if options.device == "cuda" else f"{options.threads} threads"
        save_as(f"arithmetics-{options.device}", {"device": name, "results": {str(options.edge): found}})


class Bench:
    """One slab of A and of B on a device, and a C that all of them are summed into."""

    def __init__(self, device: str, edge: int, depth: int) -> None:
        self.device, self.edge, self.depth, self.slabs = device, edge, depth, edge // depth
        self.place = DEVICES[device].place
        torch.manual_seed(0)
        self.a, self.b = torch.randn(edge, depth, device=self.place), torch.randn(depth, edge, device=self.place)
        self.probes = probing.draw(0, 0, edge, PROBES).to(self.place)

    def run(self, names: list[str], rounds: int) -> dict[str, Seconds]:
        """Medians of all rounds but the first, which warms up; ratios to torch's float32 in the same round."""
        ways: dict[str, Callable[[], Seconds]] = {"torch float32": lambda: self.reference(torch.float32)}
        if "bfloat16" in names:
            ways["torch bfloat16"] = lambda: self.reference(torch.bfloat16)
        for name in names:
            for library in libraries(name, self.device):
                if is_right((name, self.device, library)):
                    ways[f"{name} ({library})"] = lambda key=(name, self.device, library): self.once(key)
        seen: dict[str, list[Seconds]] = {label: [] for label in ways}
        for number in range(rounds + 1):
            for label, way in ways.items():
                result = way()
                if number:
                    seen[label].append(result)
        return {label: _summary(runs, seen["torch float32"]) for label, runs in seen.items()}

    def reference(self, dtype: torch.dtype) -> Seconds:
        """torch.matmul of whole matrices of this type that lie in the device's memory."""
        a, b = self.a.to(dtype).repeat(1, self.slabs), self.b.to(dtype).repeat(self.slabs, 1)
        with switched(IEEE):
            return {"multiply": self._timed(lambda: torch.mm(a, b))}

    def once(self, key: tuple[str, str, str]) -> Seconds:
        """Convert, multiply and verify one edge³ product."""
        row, method = ARITHMETICS[key[0]], method_for(key, self.edge)
        empty, kind = DEVICES[self.device].empty, torch_dtype(row.stored_as)
        buffers = [tuple(empty(x.numel(), kind) for _ in range(row.slices)) for x in (self.a, self.b)]
        total = empty(self.edge**2, torch_dtype(row.accumulate)).view(self.edge, self.edge)
        seconds = {"convert": 0.0, "multiply": 0.0, "verify": 0.0}
        residual = torch.zeros(self.edge, self.probes.shape[1], dtype=torch.float64, device=self.place)
        for number in range(self.slabs):
            self._slab((method, total, buffers, residual), float(number > 0), seconds)
        seconds["verify"] += self._timed(lambda: residual.sub_(probing.apply(total, self.probes).product))
        norms = self.slabs * float(self.a.double().norm()) * float(self.b.double().norm())
        return seconds | {"error": float(residual[:, :PROBES].norm()) / PROBES**0.5 / norms}

    def _slab(self, state: "State", beta: float, seconds: Seconds) -> None:
        method, total, (for_a, for_b), residual = state
        prepared = []
        seconds["convert"] += self._timed(
            lambda: prepared.extend((prepare(method.row, self.a, 0, for_a), prepare(method.row, self.b, 1, for_b)))
        )
        seconds["multiply"] += self._timed(lambda: add_product(method, total, *prepared, beta))
        seconds["verify"] += self._timed(lambda: residual.add_(self._probed()))

    def _probed(self) -> torch.Tensor:
        norms = probing.Wanted(norms=True)
        return probing.apply(self.a, probing.apply(self.b, self.probes, norms).product, norms).product

    def _timed(self, work: Callable[[], object]) -> float:
        DEVICES[self.device].synchronize()
        start = time.perf_counter()
        work()
        DEVICES[self.device].synchronize()
        return time.perf_counter() - start


State = tuple[Method, torch.Tensor, list[tuple[torch.Tensor, ...]], torch.Tensor]


def _summary(runs: list[Seconds], floor: list[Seconds]) -> Seconds:
    def whole(run: Seconds) -> float:
        return run["multiply"] + run.get("convert", 0.0)

    found = {key: median(run[key] for run in runs) for key in runs[0]}
    found["torch float32 over it"] = median(other["multiply"] / whole(run) for run, other in zip(runs, floor, strict=True))
    if "verify" in found:
        found["verifier's share"] = median(run["verify"] / (whole(run) + run["verify"]) for run in runs)
    return found


def table(found: dict[str, Seconds]) -> str:
    """For people."""
    columns = ("convert", "multiply", "verify", "torch float32 over it", "verifier's share", "error")
    lines = [f"{'':24}" + "".join(f"{column:>23}" for column in columns)]
    for label, row in found.items():
        lines.append(f"{label:24}" + "".join(f"{row[column]:23.3g}" if column in row else f"{'':23}" for column in columns))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
