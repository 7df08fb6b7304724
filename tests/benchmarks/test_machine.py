"""What is written about the machine is what the machine says."""

from benchmarks import machine
from benchmarks.record import Machine


def test_flags_that_matter_are_found_in_their_order(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("model name\t: X\nflags\t\t: fpu amx_bf16 avx512f sse2 avx2\nflags\t\t: fpu avx2\n")
    assert machine.processor_flags(path) == ("avx2", "avx512f", "amx_bf16")
    assert machine.processor_flags(tmp_path / "none") == ()


def test_facts_make_a_machine():
    where = Machine(**machine.facts())
    assert where.cores >= 1
    assert where.memory_bytes > 2**28


def test_versions_name_libraries_that_are_there_and_their_blas():
    found = machine.versions()
    assert found["gemmflow"]
    assert ("cubed" in found) == machine.installed("cubed")
    assert any("scipy" in name for name in found if name not in machine.LIBRARIES), found


def test_variables_that_tune_are_listed_and_others_are_not(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("PAYROLL", "secret")
    found = machine.environment()
    assert found["OPENBLAS_CORETYPE"] == "Haswell"
    assert not {"OMP_NUM_THREADS", "PAYROLL"} & set(found)


def test_the_load_is_three_numbers():
    assert len(machine.load_average()) == 3
