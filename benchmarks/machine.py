"""Where and with what something was measured: processor, memory, load, versions, and the state of this repository."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from threadpoolctl import threadpool_info

from tasks.hardware import installed_memory, processor_name, usable_cores

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8", "amx_fp16", "sve", "bf16", "i8mm")
"""Of a processor: the instructions that decide how fast it multiplies, as Linux names them."""

LIBRARIES = ("gemmflow", "torch", "numpy", "scipy", "dask", "cubed", "zarr", "numcodecs", "prefect")
TUNING = ("OPENBLAS_", "MKL_", "OMP_", "KMP_", "ATEN_", "ONEDNN_", "DNNL_", "MALLOC_")
"""Beginnings of the variables that change how libraries multiply: a kernel that is forced, memory that is kept."""

ROOT = Path(__file__).resolve().parents[1]


def facts() -> dict[str, object]:
    """The machine: names, and bytes."""
    return {
        "processor": processor_name(),
        "flags": processor_flags(),
        "cores": usable_cores(),
        "memory_bytes": installed_memory(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
    }


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Those of FLAGS that the processor has, in that order; none where Linux does not say."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return ()
    there = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.partition(":")[2].split()}
    return tuple(flag for flag in FLAGS if flag in there)


def versions() -> dict[str, str]:
    """Of the libraries that are installed, and each BLAS with the kernels that it chose for this processor."""
    return {name: metadata.version(name) for name in LIBRARIES if installed(name)} | _blas()


def installed(package: str) -> bool:
    """Whether a distribution of that name can be found."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def environment() -> dict[str, str]:
    """The variables that are set and tune libraries; numbers of threads apart, which every contender is given."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(TUNING) and not name.endswith("NUM_THREADS")}


def load_average() -> list[float]:
    """Of the last 1, 5 and 15 minutes: what else the machine did."""
    return [round(load, 2) for load in os.getloadavg()]


def commit() -> str:
    """The short hash that is checked out, with `+` where files differ from it; empty outside a git repository."""
    head, changes = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return head + "+" * bool(head and changes)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _blas() -> dict[str, str]:
    import numpy  # noqa: F401 - each import loads a BLAS, which is then listed
    import scipy.linalg  # noqa: F401
    import torch

    found: dict[str, str] = {"MKL of torch": torch.backends.mkl.is_available() * "yes"}
    for pool in threadpool_info():
        if pool["user_api"] == "blas":
            owner = Path(pool["filepath"]).parent.name.removesuffix(".libs")
            found[f"{pool['internal_api']} of {owner}"] = f"{pool['version']} {pool.get('architecture') or ''}".strip()
    return {name: version for name, version in found.items() if version}
