import doctest
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import hardware as module
from tasks.hardware import (
    THICK,
    THIN,
    TOLD,
    available_memory,
    cache_folder,
    default_memory,
    describe,
    host_fingerprint,
    installed_memory,
    instructions,
    recall,
    remember,
)
from tests.tasks.machines import GIB, MIB, hardware, rates


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_example_of_the_documentation_holds():
    assert doctest.testmod(module).failed == 0


def test_a_calibration_is_remembered(cache):
    assert recall("f00dfeedf00dfeed") is None
    remember(hardware())
    assert recall("f00dfeedf00dfeed") == hardware()
    assert cache_folder() == cache


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fingerprint": "f00dfeedf00dfeed"}', "\0" * 40])
def test_a_damaged_calibration_is_measured_again(cache, content):
    remember(hardware())
    (path,) = cache.iterdir()
    path.write_text(content)
    assert recall("f00dfeedf00dfeed") is None


def test_where_the_cache_cannot_be_written_the_process_remembers(cache, monkeypatch):
    """Else every run would measure twice, the second time beside the workers that it has opened."""
    monkeypatch.setattr(module, "_UNWRITTEN", {})
    cache.write_text("a file where the folder should be")
    assert recall("f00dfeedf00dfeed") is None
    remember(hardware())
    assert recall("f00dfeedf00dfeed") == hardware()
    assert recall("another") is None


def test_the_fingerprint_follows_device_processor_cores_and_libraries(monkeypatch):
    plain = host_fingerprint("cpu")
    assert plain == host_fingerprint("cpu")
    assert plain != host_fingerprint("cuda")
    for name, value in (("processor_name", "another"), ("instructions", "sse avx"), ("usable_cores", 99), ("installed_memory", 2**50)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, lambda value=value: value)
            assert host_fingerprint("cpu") != plain


@pytest.mark.parametrize("name", TOLD)
def test_the_fingerprint_follows_what_libraries_are_told_of_the_processor(monkeypatch, name):
    plain = host_fingerprint("cpu")
    monkeypatch.setenv(name, "anything")
    assert host_fingerprint("cpu") != plain


def test_memory_is_the_hosts_or_the_cgroups(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_cgroup_limit", lambda: 2**62)
    monkeypatch.setattr(module, "_cgroup_usage", lambda: 0)
    assert installed_memory() == psutil.virtual_memory().total
    assert 0 < available_memory() <= installed_memory()
    monkeypatch.setattr(module, "_cgroup_limit", lambda: 100 * MIB)
    monkeypatch.setattr(module, "_cgroup_usage", lambda: 30 * MIB)
    assert (installed_memory(), available_memory()) == (100 * MIB, 70 * MIB)


def test_a_full_cgroup_has_nothing_free(monkeypatch):
    monkeypatch.setattr(module, "_cgroup_limit", lambda: 100 * MIB)
    monkeypatch.setattr(module, "_cgroup_usage", lambda: 101 * MIB)
    assert available_memory() == 0


@given(st.integers(0, 2**45), st.floats(0.995, 1))
def test_the_default_budget_is_about_60_per_cent_and_hardly_moves(free, drift):
    budget = default_memory(free)
    assert 0.6 * free * 15 / 16 - 1 <= budget <= 0.6 * free
    assert default_memory(int(free * drift)) >= budget * 15 / 16 - 2


def test_it_is_described_in_a_line():
    assert describe(replace(hardware(), memory_bytes=16 * GIB)) == "a processor, 2 cores, 16.0 GiB, cpu"


def test_the_fastest_library_multiplies_and_a_near_tie_goes_to_the_first():
    made = rates(gemm={"float32": {"torch": 88e9, "scipy": 96e9}, "float64": {"torch": 43e9, "scipy": 43.5e9}})
    assert made.kernels == {"float32": "scipy", "float64": "torch"}
    assert made.flops == {"float32": 96e9, "float64": 43e9}


def test_a_thin_block_is_slower_and_may_have_another_kernel():
    made = rates(
        gemm={"float32": {"torch": 80e9, "scipy": 90e9}},
        thin={"float32": {"torch": 40e9, "scipy": 10e9}},
    )
    assert made.speed("float32", THIN) == pytest.approx(40e9)
    assert made.speed("float32", 4096) == made.speed("float32", THICK) == 90e9
    assert (made.kernel("float32", THIN), made.kernel("float32", THICK)) == ("torch", "scipy")
    speeds = [made.speed("float32", edge) for edge in (1, 8, 32, 100, 500, 1024, 9000)]
    assert speeds == sorted(speeds)
    assert replace(made, thin={}).speed("float32", 8) == 90e9


def test_instructions_are_those_that_the_kernel_reports():
    known = Path("/proc/cpuinfo").read_text()
    assert instructions() in known
    assert len(instructions().split()) > 3
