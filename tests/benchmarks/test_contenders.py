"""Every contender multiplies right, in a process of its own with its number of BLAS threads."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from benchmarks import machine
from benchmarks.contenders import CONTENDERS, ROOT, THREADS, Failed, environment, lacking, launch, parse_setting
from benchmarks.inputs import make_inputs, make_maps
from benchmarks.spot import FLOAT32, spot_error
from tasks.hardware import usable_cores
from tests.benchmarks.samples import SMALL

IN_THIS_PROCESS = ("torch in memory", "torch bfloat16 in memory", "scipy in memory", "read, torch, write", "dask.array", "numpy memmap")


@pytest.fixture
def folder(tmp_path):
    make_inputs(tmp_path, SMALL.shape, SMALL.chunk)
    make_maps(tmp_path)
    return tmp_path


def check_contender(folder, name, taken):
    assert taken.seconds > 0
    assert taken.peak_bytes > 2**20
    product = CONTENDERS[name].product
    if product:
        assert spot_error(folder, product) < FLOAT32
    assert any(folder.glob("C*")), "the held memory waits for it"


@pytest.mark.parametrize("name", IN_THIS_PROCESS)
def test_the_product_is_right(folder, name):
    check_contender(folder, name, CONTENDERS[name].run(folder, SMALL))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTENDERS)
def test_each_runs_in_a_process_of_its_own(folder, name):
    if lacking(name):
        pytest.skip(lacking(name))
    launched = launch(name, folder, replace(SMALL, cores=1))
    check_contender(folder, name, launched.taken)
    assert launched.process_seconds > launched.taken.seconds


@pytest.mark.slow
def test_a_failure_is_its_last_line(folder):
    with pytest.raises(Failed, match=r"ValueError: .* too few"):
        launch("numpy memmap", folder, replace(SMALL, memory=1000))


def test_what_a_contender_lacks_is_named(monkeypatch):
    monkeypatch.setattr(machine, "installed", lambda package: False)
    monkeypatch.setattr(machine, "processor_flags", lambda: ("avx2",))
    assert lacking("cubed") == "the package cubed is not installed"
    assert "avx512_bf16" in lacking("torch bfloat16 in memory")
    assert lacking("gemmflow") == ""
    monkeypatch.setattr(machine, "processor_flags", lambda: ("avx2", "amx_bf16"))
    assert lacking("torch bfloat16 in memory") == ""


def test_nobody_pays_for_the_libraries_of_others():
    program = "import sys, benchmarks.contenders; print(*sorted(sys.modules))"
    loaded = set(subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {"torch", "scipy", "zarr", "dask", "cubed", "pydantic", "flows", "tasks", "storage"}


def test_settings_travel_as_json():
    setting = replace(SMALL, max_error=2e-2, cores=2)
    assert parse_setting(json.dumps(asdict(setting))) == setting


@pytest.mark.parametrize(("name", "cores", "threads"), [("scipy in memory", 3, "3"), ("cubed", 3, "1"), ("gemmflow", 3, None)])
def test_blas_threads(monkeypatch, name, cores, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = environment(name, replace(SMALL, cores=cores))
    assert {found.get(variable) for variable in THREADS} == {threads}
    assert environment("torch in memory", SMALL)["MKL_NUM_THREADS"] == str(usable_cores())
