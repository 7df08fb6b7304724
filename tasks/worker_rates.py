"""What each worker measured of itself, and what that says of all of them: the slowest counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.hardware import Rates


@dataclass(frozen=True)
class WorkerRates:
    """What one worker measured of itself."""

    rates: Rates
    base_bytes: int
    """Resident bytes once every kernel has run on small operands."""
    device_memory_bytes: int
    threads: int
    processor: str
    host: str
    cores: int
    memory_bytes: int


def slowest(rates: Sequence[Rates]) -> Rates:
    """Every rate at its lowest among the workers."""
    first = rates[0]
    shared = {name: [library for library in speeds if _all_have(rates, name, library)] for name, speeds in first.gemm.items()}
    return Rates(
        gemm={name: {library: min(rate.gemm[name][library] for rate in rates) for library in found} for name, found in shared.items()},
        thin={name: _thinnest(rates, name, found) for name, found in shared.items()},
        decode=_least([rate.decode for rate in rates]),
        encode=_least([rate.encode for rate in rates]),
        probe=min(rate.probe for rate in rates),
        write=min(rate.write for rate in rates),
        write_unsynced=min(rate.write_unsynced for rate in rates),
        uncached=min(rate.uncached for rate in rates),
        copy=min(rate.copy for rate in rates),
        touch=min(rate.touch for rate in rates),
    )


def _least(measured: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of the codecs that all have: some workers may lack the package of one."""
    return {name: min(speeds[name] for speeds in measured) for name in measured[0] if all(name in speeds for speeds in measured)}


def _thinnest(rates: Sequence[Rates], arithmetic: str, found: list[str]) -> dict[str, float]:
    measured = [rate.thin.get(arithmetic, {}) for rate in rates]
    return {library: min(speeds[library] for speeds in measured) for library in found if all(library in speeds for speeds in measured)}


def _all_have(rates: Sequence[Rates], arithmetic: str, library: str) -> bool:
    return all(library in rate.gemm[arithmetic] for rate in rates)
