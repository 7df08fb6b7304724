"""Which NVIDIA devices this host offers, asked without loading CUDA: the driver process must never hold a context."""

import ctypes
import os

from tasks.errors import BadInput


def visible_devices() -> list[str]:
    """Names of the devices for CUDA_VISIBLE_DEVICES, one a worker: those of this process, else all that the driver reports.

    Raises BadInput when there is none.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in range(_count_devices())] if chosen is None else [name for name in chosen.split(",") if name.strip()]
    if not names:
        hidden = "CUDA_VISIBLE_DEVICES hides all" if chosen is not None else "the NVIDIA driver reports none"
        raise BadInput(f"no CUDA device: {hidden}; use the cluster local")
    return names


def cuda_problem() -> str | None:
    """Why torch cannot use CUDA in this process, or None; runs on workers and loads CUDA there."""
    import torch  # noqa: PLC0415

    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA"
    return None if torch.cuda.is_available() else f"torch {torch.__version__} for CUDA {torch.version.cuda} finds no usable device"


def _count_devices() -> int:
    """Devices that the management library counts; raises BadInput when it is not installed."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        raise BadInput("no CUDA device: the NVIDIA driver is not installed on this host; use the cluster local") from None
    count = ctypes.c_uint(0)
    failed = library.nvmlInit_v2() or library.nvmlDeviceGetCount_v2(ctypes.byref(count))
    return 0 if failed else count.value
