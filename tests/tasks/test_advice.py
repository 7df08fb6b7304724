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


def test_padded_edge_chunks_of_the_advised_size_need_no_advice():
    """A 2500 x 2500 matrix in chunks of 2048 decodes 2.7 times its bytes, but other chunks of the default size would, too."""
    assert warnings((2500, 2500, 2500), ((2048, 2048), (2048, 2048)), memory=300 * 2**20) == ()


def test_one_row_a_chunk_is_named_with_what_it_costs_and_what_would_avoid_it():
    (line,) = warnings((20_000, 20_000, 20_000), (None, (1, 20_000)), memory=400 * 2**20)
    assert line.startswith("B is stored in chunks of 1 x 20000: a pass decodes ")
    assert "20,000 reads" not in line.split("decodes")[0]
    assert line.endswith("chunks of 2048 x 2048 would avoid it")
    assert " for 1.49 GiB in " in line


def test_stored_chunks_are_named_as_stored_where_the_operand_is_transposed():
    lines = warnings((20_000, 20_000, 20_000), ((1, 20_000), None), transposed=(True, False), memory=512 * 2**20)
    assert len(lines) == 1
    assert lines[0].startswith("A is stored in chunks of 1 x 20000")


def test_tiny_chunks_cost_a_file_each():
    (line,) = warnings((8192, 8192, 8192), ((16, 16), (2048, 2048)))
    assert line.startswith("A is stored in chunks of 16 x 16")
