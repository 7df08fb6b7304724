"""A transformer's job on devices: the operations are all there, however many devices share them."""

import json
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.catalogue import Device, catalogue, find
from tasks.choice.demand import Team
from tasks.choice.estimate import estimate, fewest
from tasks.choice.model_job import ModelJob
from tasks.choice.site import Site
from tasks.models import Workload, parse_config
from tests.tasks.choice.devices import GB, TERA, cheap_gpu, gpu, priced
from tests.tasks.models.configs import DEEPSEEK, LLAMA

SITE = Site(1e12, 1e12, assumed=False)


def job(config: dict[str, object] = LLAMA, mode: str = "prefill", tokens: int = 10**9, batch: int = 1, sequence: int = 4096) -> ModelJob:
    return ModelJob(parse_config(config), Workload(tokens, batch, sequence, mode), name="llama")


@given(
    st.sampled_from(["prefill", "decode", "train", "embed"]),
    st.integers(1, 10**12),
    st.integers(1, 64),
    st.integers(1, 9000),
    st.sampled_from([LLAMA, DEEPSEEK]),
)
def test_one_device_does_every_operation(mode: str, tokens: int, batch: int, sequence: int, config: dict[str, object]) -> None:
    asked = job(config, mode, tokens, batch, sequence)
    device = gpu(memory=None)
    way = asked.ways(device)[0]
    shares = asked.work(way, Team(device, 1)).shares
    assert sum(share.gemm.flops * share.times for share in shares) == pytest.approx(asked.flops, rel=1e-9)


@given(st.sampled_from(["prefill", "decode", "train"]), st.integers(1, 64), st.sampled_from([LLAMA, DEEPSEEK]))
def test_devices_together_do_every_operation_and_hardly_more(mode: str, count: int, config: dict[str, object]) -> None:
    asked, device = job(config, mode, batch=16), gpu(memory=600 * GB)
    shares = asked.work(asked.ways(device)[0], Team(device, count)).shares
    done = count * sum(share.gemm.flops * share.times for share in shares)
    assert asked.flops * (1 - 1e-9) <= done <= 1.02 * asked.flops


@pytest.mark.parametrize("mode", ["prefill", "decode", "train"])
def test_one_batch_is_no_faster_on_more_copies(mode: str) -> None:
    device = gpu(memory=600 * GB)
    one, eight = (estimate(job(mode=mode, tokens=4096), Team(device, count), SITE).seconds for count in (1, 8))
    assert one is not None and eight is not None
    assert eight.expected == pytest.approx(one.expected)
    nine = [estimate(job(mode=mode, tokens=9 * 4096), Team(device, count), SITE).seconds for count in (1, 8)]
    assert nine[0] is not None and nine[1] is not None
    assert nine[1].expected == pytest.approx(nine[0].expected * 2 / 9, rel=0.05)


def test_the_published_cost_of_a_thousand_million_tokens() -> None:
    """1e9 tokens of prefill at 4096, causal: 1.6083e19 FLOP; at 0.78 of 989 TFLOP/s 5.79 h, 39.84 $ at 6.88 $/h (analysis K)."""
    asked = job()
    assert asked.flops == pytest.approx(1.6083e19, rel=1e-4)
    peaks = {"bfloat16": 989 * TERA}
    measured = estimate(asked, Team(Device("H100", "NVIDIA", "dc-gpu", peaks, 80 * GB, 3350 * GB, 63 * GB, priced(6.88)), 1), SITE)
    known = estimate(asked, Team(find("H100-SXM5-80GB", catalogue()), 1), SITE)
    for option in (measured, known):
        assert option.usd is not None
        assert option.usd.low <= 39.84 <= option.usd.high or option.usd.expected == pytest.approx(39.84, rel=0.15)


def test_what_does_not_fit_takes_more_devices_which_then_talk() -> None:
    asked = job(DEEPSEEK, "decode", batch=64)
    device = gpu()
    least = fewest(asked, device)
    assert least == 19  # 1,360,506,235,904 bytes of weights and cache in 72 GB each
    assert "do not fit in" in estimate(asked, Team(device, 16), SITE).why_not
    option = estimate(asked, Team(device, least), SITE)
    assert option.feasible
    assert option.seconds is not None
    assert option.seconds.high > 1.1 * option.seconds.expected


def test_a_copy_on_several_instances_has_no_upper_end_and_says_so() -> None:
    asked = job(LLAMA)
    apart, one = (estimate(asked, Team(gpu(memory=12 * GB, per_instance=size), 4), SITE) for size in (1, 4))
    assert apart.seconds is not None and one.seconds is not None
    assert (apart.seconds.expected, apart.seconds.high) == (one.seconds.expected, inf)
    assert one.seconds.high < inf
    assert any(note.startswith("4 instances tell each other") for note in apart.notes)
    assert not any("instances tell" in note for note in one.notes)
    copies = estimate(asked, Team(gpu(per_instance=1), 4), SITE)
    assert copies.seconds is not None and copies.seconds.high < inf, "each instance holds a copy"


def test_ring_sums_are_counted_by_hand() -> None:
    asked = job(DEEPSEEK, "prefill", tokens=8192, batch=2)
    way = asked.ways(gpu())[0]
    team = Team(gpu(), 32)
    group = min(32, -(-asked.resident_bytes(way) // int(0.9 * 80 * GB)))
    by_hand = 2 * (group - 1) / group * 2 * 61 * 8192 * 7168 * 2  # of one batch, so the devices of half a copy are idle
    assert asked.work(way, team).exchanged_bytes == pytest.approx(by_hand)
    assert job().work(way, Team(gpu(), 8)).exchanged_bytes == 0  # it fits: each has a copy


def test_who_has_no_bfloat16_uses_float16_unless_one_is_asked_for() -> None:
    assert [way.precision for way in job().ways(cheap_gpu())] == ["float16"]
    asked = ModelJob(parse_config(LLAMA), Workload(10**9), "bfloat16")
    assert estimate(asked, Team(cheap_gpu(), 8), SITE).why_not.startswith("small has no bfloat16")


def test_decode_waits_for_memory_and_prefill_for_arithmetic() -> None:
    bottlenecks = {mode: estimate(job(mode=mode), Team(gpu(), 1), SITE).bottleneck for mode in ("prefill", "decode")}
    assert bottlenecks == {"prefill": "compute", "decode": "memory"}


def test_experts_in_decode_wait_for_their_weights_and_not_for_a_start_of_each() -> None:
    asked, device = job(DEEPSEEK | {"moe_intermediate_size": 128}, "decode", 10**6, 64), gpu(memory=None)
    found = estimate(asked, Team(device, 1), SITE).seconds
    assert found is not None and device.memory_bandwidth is not None
    need = asked.need("bfloat16")
    least = need.memory.moved * need.workload.step_count / device.memory_bandwidth
    assert 0.9 * least <= found.expected <= 2.5 * least


def test_a_larger_batch_makes_decode_cheaper() -> None:
    times = [estimate(job(mode="decode", batch=batch, sequence=512), Team(gpu(), 1), SITE).seconds for batch in (1, 8, 32)]
    expected = [span.expected for span in times if span is not None]
    assert len(expected) == 3 and expected[0] > 4 * expected[1] > 8 * expected[2] / 4


def test_the_title_names_the_job(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert job().title == "llama, prefill of 1.00 Gtokens, 1 x 4,096 at a time"
