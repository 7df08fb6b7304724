"""What a model's job needs: parameters, operations, products, bytes, in one value that reports, choices and agents read.

`to_json` gives, under schema 1 (keys are added, never renamed; all numbers are whole and exact):

    {"schema": 1,
     "model":      {"family", "layers", "hidden", "heads", "kv_heads", "vocabulary", "experts", "experts_per_token", "context", "stored",
                    "quantized", "assumed": [text]},
     "workload":   {"mode", "tokens", "batch", "sequence", "steps", "recompute", "states"},
     "precision":  name,
     "parameters": {"total", "active_with_embeddings", "active_without_lookup", "matmul_per_token", "breakdown": [{"name", "parameters"}]},
     "flops":      {"convention": text, "full", "causal", "matrices", "head", "attention_full", "attention_causal"},
     "products":   [{"name", "m", "n", "k", "count", "flops"}],
     "bytes":      {"weights", "weights_as_stored", "cache", "cache_per_token", "activations", "logits", "gradients", "optimizer",
                    "resident", "moved_per_step"},
     "notes":      [text]}

Where something is not there (experts, context, ...) the value is null. Fields of `flops` and `bytes` mean what `Work` and `Memory` say.
"""

from dataclasses import dataclass, replace

from tasks.errors import BadInput
from tasks.gemm import Gemm
from tasks.models.config import Config
from tasks.models.memory import Memory, count_bytes
from tasks.models.parameters import Parameters, count_parameters
from tasks.models.precisions import precision_named
from tasks.models.products import products
from tasks.models.work import Work, count_work
from tasks.models.workload import Workload

CONVENTION = "a multiply-add is two; full counts every key in reach, causal leaves out masked pairs, the diagonal half"


@dataclass(frozen=True)
class ModelNeed:
    """What one job of one model needs; made by `need`."""

    config: Config
    """The model."""
    workload: Workload
    """The job."""
    precision: str
    """Its arithmetic."""
    parameters: Parameters
    """How many numbers the model has."""
    work: Work
    """Operations of the whole job."""
    gemms: tuple[Gemm, ...]
    """Every product of the whole job, attention in full; their operations add up to `work.full`."""
    memory: Memory
    """Bytes."""
    notes: tuple[str, ...]
    """What a reader must know to read the numbers right, one sentence each."""

    @property
    def flops_full(self) -> int:
        """Operations, masked pairs of attention included."""
        return self.work.full

    @property
    def flops_causal(self) -> int:
        """Operations, masked pairs of attention left out."""
        return self.work.causal

    def to_json(self) -> dict[str, object]:
        """Schema 1, as the head of this file says."""
        return {
            "schema": 1,
            "model": _model(self.config),
            "workload": _workload(self.workload),
            "precision": self.precision,
            "parameters": _parameters(self.parameters),
            "flops": _flops(self.work),
            "products": [
                {"name": gemm.name, "m": gemm.m, "n": gemm.n, "k": gemm.k, "count": gemm.count, "flops": gemm.flops} for gemm in self.gemms
            ],
            "bytes": _bytes(self.memory),
            "notes": list(self.notes),
        }


def need(config: Config, workload: Workload, precision: str = "bfloat16") -> ModelNeed:
    """What the job needs in a precision, exact.

    Raises BadInput: an encoder is asked for tokens, a sequence is longer than learned positions, an unknown precision, training in int8.
    """
    row = precision_named(precision)
    _check(config, workload)
    if workload.is_training:
        if row.states is None:
            raise BadInput(f"nobody trains in {precision}: give bfloat16, or mode prefill, decode or embed")
        workload = replace(workload, states=workload.states or row.states)
    memory = count_bytes(config, workload, precision)
    return ModelNeed(
        config,
        workload,
        precision,
        count_parameters(config),
        count_work(config, workload),
        products(config, workload),
        memory,
        _notes(config, workload, memory),
    )


def _check(config: Config, workload: Workload) -> None:
    if not config.causal and workload.mode != "embed":
        raise BadInput(f"{config.family} is an encoder, it makes no tokens: give mode embed, not {workload.mode}")
    positions = config.tables.positions
    if positions and workload.longest > positions:
        raise BadInput(
            f"a sequence of {workload.longest} tokens is longer than the {positions} positions that the model learned: give less"
        )


def _notes(config: Config, workload: Workload, memory: Memory) -> tuple[str, ...]:
    experts, packing = config.experts, config.quantization
    said = {
        "tokens are taken to spread evenly over the experts": experts is not None,
        "keys and values stay compressed in decode, queries are brought to them (absorbed form)": (
            workload.mode == "decode" and config.attention.absorbed() != config.attention
        ),
        "the head is counted for every token; an engine that only reads a prompt needs the last one": workload.mode == "prefill",
        "a window limits attention in some or all layers: full counts the keys in reach": any(layer.window for layer in config.layers),
        "attention within stretches counts each as full where tokens are decoded": (
            workload.mode == "decode" and any(layer.chunked for layer in config.layers)
        ),
        f"the sequence is longer than the {config.context} tokens that the file allows": (
            config.context is not None and workload.longest > config.context
        ),
    }
    packed = () if packing is None else (_packed(packing.method, memory.weights_as_stored),)
    return (*config.assumed, *(text for text, holds in said.items() if holds), *packed)


def _packed(method: str, size: int | None) -> str:
    known = f"about {size} bytes there" if size is not None else "how many bytes that takes, the headers of its safetensors files say"
    return f"the published weights are packed by {method} ({known}); weights are counted in the precision asked"


def _model(config: Config) -> dict[str, object]:
    experts, packing = config.experts, config.quantization
    return {
        "family": config.family or None,
        "layers": len(config.layers),
        "hidden": config.hidden,
        "heads": config.attention.heads,
        "kv_heads": config.attention.kv_heads,
        "vocabulary": config.tables.vocab,
        "experts": experts.count if experts else None,
        "experts_per_token": experts.per_token if experts else None,
        "context": config.context,
        "stored": config.stored,
        "quantized": packing.method if packing else None,
        "assumed": list(config.assumed),
    }


def _workload(load: Workload) -> dict[str, object]:
    return {
        "mode": load.mode,
        "tokens": load.tokens,
        "batch": load.batch,
        "sequence": load.sequence,
        "steps": load.step_count,
        "recompute": load.recompute if load.is_training else None,
        "states": load.states,
    }


def _parameters(parameters: Parameters) -> dict[str, object]:
    return {
        "total": parameters.total,
        "active_with_embeddings": parameters.active_with_embeddings,
        "active_without_lookup": parameters.active_without_lookup,
        "matmul_per_token": parameters.matmul_per_token,
        "breakdown": [{"name": part.name, "parameters": part.parameters} for part in parameters.breakdown],
    }


def _flops(work: Work) -> dict[str, object]:
    return {
        "convention": CONVENTION,
        "full": work.full,
        "causal": work.causal,
        "matrices": work.matrices,
        "head": work.head,
        "attention_full": work.attention_full,
        "attention_causal": work.attention_causal,
    }


def _bytes(memory: Memory) -> dict[str, object]:
    return {
        "weights": memory.weights,
        "weights_as_stored": memory.weights_as_stored,
        "cache": memory.cache,
        "cache_per_token": memory.cache_per_token,
        "activations": memory.activations,
        "logits": memory.logits,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "resident": memory.resident,
        "moved_per_step": memory.moved,
    }
