import pytest

from tasks import planner
from tasks.planner import make_plan
from tests.tasks.machines import GIB, hardware, job, problem


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(planner, "installed_memory", lambda: 2**50)


def warnings(shape, chunks, transposed=(False, False), **fields):
    made = problem(shape, chunks=chunks, transposed=transposed)
    return make_plan(job(**{"memory": 4 * GIB} | fields), made, hardware()).warnings


@pytest.mark.parametrize("chunks", [(None, None), ((2048, 2048), (2048, 2048)), ((2048, 2048), None)])
def test_good_chunks_and_plain_files_need_no_advice(chunks):
    assert warnings((16_384, 16_384, 16_384), chunks) == ()


def test_padded_edge_chunks_of_the_advised_size_need_no_other_chunks():
    """A 2500 x 2500 matrix in chunks of 2048 decodes 2.7 times its bytes, but other chunks of the default size would, too."""
    (line,) = warnings((2500, 2500, 2500), ((2048, 2048), (2048, 2048)), memory=300 * 2**20)
    assert " times the least possible: " in line
    assert "edge chunks of 2048 x 2048 are padded (+" in line
    assert "avoid" not in line


def test_one_row_a_chunk_is_named_with_what_it_costs_and_what_would_avoid_it():
    line, *_ = warnings((20_000, 20_000, 20_000), (None, (1, 20_000)), memory=400 * 2**20)
    assert line.startswith("B is stored in chunks of 1 x 20000: a pass decodes ")
    assert "20,000 reads" not in line.split("decodes")[0]
    assert line.endswith("chunks of 2048 x 2048 would avoid it")
    assert " for 1.49 GiB in " in line


def test_stored_chunks_are_named_as_stored_where_the_operand_is_transposed():
    lines = warnings((20_000, 20_000, 20_000), ((1, 20_000), None), transposed=(True, False), memory=512 * 2**20)
    assert not any(line.startswith("B is stored") for line in lines)
    assert lines[0].startswith("A is stored in chunks of 1 x 20000")


def test_tiny_chunks_cost_a_file_each():
    (line,) = warnings((8192, 8192, 8192), ((16, 16), (2048, 2048)))
    assert line.startswith("A is stored in chunks of 16 x 16")


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_plan_that_moves_much_more_than_the_least_says_why(workers):
    made = problem((13_316, 13_512, 16_177), chunks=((2000, 1024), (1024, 500)))
    plan = make_plan(job(memory=GIB * workers // 2, workers=workers), made, hardware((workers, 1)))
    told = [line for line in plan.warnings if " times the least possible: " in line]
    assert len(told) == (plan.bytes_ratio > 1.5)
    assert all(f"{plan.bytes_ratio:.2f} times" in line and "A is read " in line for line in told)
