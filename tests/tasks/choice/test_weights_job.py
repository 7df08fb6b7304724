"""What headers alone say of a model, beside what its config.json says."""

import json
import struct
from math import inf
from pathlib import Path

import pytest

from flows.cli import run
from tasks.catalogue import catalogue, find
from tasks.choice.demand import Team
from tasks.choice.estimate import estimate
from tasks.choice.site import Site
from tasks.choice.weights_job import WeightsJob
from tasks.errors import BadInput
from tasks.models import Workload, need, parse_config, read_weights
from tasks.models.held import NO_ATTENTION, held
from tests.tasks.choice.devices import gpu
from tests.tasks.models.configs import LLAMA

SMALL = (
    LLAMA
    | {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    | {
        "intermediate_size": 320,
        "vocab_size": 1000,
    }
)
LAYER = {
    "self_attn.q_proj": [128, 128],
    "self_attn.k_proj": [64, 128],
    "self_attn.v_proj": [64, 128],
    "self_attn.o_proj": [128, 128],
    "mlp.gate_proj": [320, 128],
    "mlp.up_proj": [320, 128],
    "mlp.down_proj": [128, 320],
    "input_layernorm": [128],
    "post_attention_layernorm": [128],
}
OUTSIDE = {"model.embed_tokens.weight": [1000, 128], "model.norm.weight": [128], "lm_head.weight": [1000, 128]}
LLAMA_SHAPES = OUTSIDE | {f"model.layers.{layer}.{name}.weight": shape for layer in range(3) for name, shape in LAYER.items()}


def written(folder: Path, shapes: dict[str, list[int]], dtype: str = "BF16", width: int = 2) -> Path:
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes.items():
        size = width
        for side in shape:
            size *= side
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return path


def job(path: Path, tokens: int = 10_000, mode: str = "prefill") -> WeightsJob:
    weights = read_weights(path)
    return WeightsJob(weights, held(weights, mode != "embed"), Workload(tokens, 2, 512, mode), name="small")


@pytest.mark.parametrize("tied", [False, True])
def test_headers_say_what_the_config_says_but_for_attention(tied: bool, tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in LLAMA_SHAPES.items() if not (tied and name == "lm_head.weight")}
    asked = job(written(tmp_path, shapes))
    said = need(parse_config(SMALL | {"tie_word_embeddings": tied}), asked.workload)
    assert asked.weights.parameters == said.parameters.total
    assert asked.held.per_token == said.parameters.matmul_per_token
    assert asked.flops == said.work.matrices == sum(gemm.flops for gemm in asked.products())
    assert asked.weight_bytes("bfloat16") == said.memory.weights
    assert any("the table of tokens is taken as one" in note for note in asked.held.notes) == tied


def test_a_text_is_embedded_without_the_head(tmp_path: Path) -> None:
    path = written(tmp_path, LLAMA_SHAPES)
    assert job(path).held.per_token - job(path, mode="embed").held.per_token == 1000 * 128


def test_devices_together_do_every_operation(tmp_path: Path) -> None:
    asked = job(written(tmp_path, LLAMA_SHAPES), tokens=10**6)
    way = asked.ways(gpu())[0]
    for count in (1, 8):
        shares = asked.work(way, Team(gpu(), count)).shares
        done = count * sum(share.gemm.flops * share.times for share in shares)
        assert asked.flops * (1 - 1e-9) <= done <= 1.01 * asked.flops


def test_what_devices_tell_each_other_is_unknown_and_has_no_upper_end(tmp_path: Path) -> None:
    asked = job(written(tmp_path, LLAMA_SHAPES))
    small = gpu(memory=1_200_000)
    found = estimate(asked, Team(small, 4), Site())
    assert found.seconds is not None
    assert found.seconds.high == inf
    assert any("no upper end" in note for note in found.notes)
    assert not estimate(asked, Team(small, 1), Site()).feasible


@pytest.mark.parametrize(
    ("more", "dtype", "said"),
    [
        ({"model.layers.0.mlp.experts.0.up_proj.weight": [8, 8]}, "BF16", "no header says how many a token takes"),
        ({}, "I16", "packed as I16"),
    ],
)
def test_what_headers_do_not_say_is_refused(more: dict[str, list[int]], dtype: str, said: str, tmp_path: Path) -> None:
    weights = read_weights(written(tmp_path, LLAMA_SHAPES | more, dtype))
    with pytest.raises(BadInput, match=f"{weights.parameters:,} numbers .*{said}.*give the model's config.json"):
        held(weights)


def test_weights_without_matrices_and_modes_that_need_more_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no matrices"):
        held(read_weights(written(tmp_path, {"norm.weight": [128], "wte.weight": [10, 4]})))
    with pytest.raises(BadInput, match="mode decode needs more than headers say"):
        job(written(tmp_path, LLAMA_SHAPES), mode="decode")


@pytest.mark.parametrize("as_folder", [False, True])
def test_the_command_takes_weights_without_a_config(as_folder: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, LLAMA_SHAPES)
    line = ["analyze", "--model", str(tmp_path if as_folder else path), "--tokens", "1e6", "--devices", "h100"]
    assert run([*line, "--vary", "precision=float32,fp7; tokens=1e3", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["needs"]["stored"]["parameters"] == found["needs"]["parameters"]["total"]
    assert found["choice"]["chosen"]["device"] == find("h100", catalogue()).name
    precisions, (tokens,) = (axis["points"] for axis in found["what_if"])
    assert [point["chosen"] is None for point in (*precisions, tokens)] == [False, True, False]
    assert NO_ATTENTION in found["warnings"]
    assert run([*line, "--mode", "train"]) == 2
    assert "give the model's config.json" in capsys.readouterr().err
