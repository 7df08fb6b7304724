"""What a transformer needs, from its config.json or the headers of its weights alone: offline, exact, in milliseconds.

    strict_json -> fields -> expert_rules, families -> parse           a file, its fields, what its family leaves unsaid, one Config
    windows, quantized -> parse                                        which keys a layer sees, how weights are packed
    linear -> attention, feed_forward -> config                        a transformer as numbers
    precisions, workload                                               in which numbers, and how much of what
    parameters, products, work, memory -> need                         what follows: counts, matrix products, operations, bytes
    safetensors, shards                                                what a published file or folder holds, from its headers

Nothing here imports torch, Dask, Prefect or Zarr on its own.
"""

from tasks.models.config import Config
from tasks.models.families import FAMILIES
from tasks.models.memory import Memory, count_bytes
from tasks.models.need import ModelNeed, need
from tasks.models.parameters import Parameters, Part, count_parameters
from tasks.models.parse import parse_config, read_config
from tasks.models.precisions import PRECISIONS, STATES, precision_named
from tasks.models.products import is_attention, products
from tasks.models.shards import Weights, read_weights
from tasks.models.work import Work, count_work
from tasks.models.workload import MODES, RECOMPUTE, Workload

__all__ = [
    "FAMILIES",
    "MODES",
    "PRECISIONS",
    "RECOMPUTE",
    "STATES",
    "Config",
    "Memory",
    "ModelNeed",
    "Parameters",
    "Part",
    "Weights",
    "Work",
    "Workload",
    "count_bytes",
    "count_parameters",
    "count_work",
    "is_attention",
    "need",
    "parse_config",
    "precision_named",
    "products",
    "read_config",
    "read_weights",
]
