"""Other software that opens Zarr arrays, each as one function from a path to the elements.

Every row reads with its own code alone: where it does not know a codec it raises, and never hands over to zarr-python.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr

STRICT_ZARRS = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True}


def zarr_python(path: Path) -> np.ndarray:
    return np.asarray(zarr.open_array(path, mode="r")[...])


def zarrs(path: Path) -> np.ndarray:
    """The Rust library as a pipeline inside zarr-python, which then only reads the metadata."""
    with zarr.config.set(STRICT_ZARRS):
        return zarr_python(path)


def zarrista(path: Path) -> np.ndarray:
    """The same library by its own interface."""
    from zarrista import Array
    from zarrista.store import FilesystemStore

    return Array.open(FilesystemStore(str(path)), path="/")[...].to_numpy()


def tensorstore(path: Path) -> np.ndarray:
    import tensorstore as ts

    return ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}, read=True).result().read().result()


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    "zarr-python": zarr_python,
    "tensorstore": tensorstore,
    "zarrs": zarrs,
    "zarrista": zarrista,
}
