"""Between two runs: results go, inputs stay, and the process that holds memory ends."""

import psutil

from benchmarks.settled import remove_results, settled


def fill(folder):
    for name in ("A", "C-peer", "C-work"):
        (folder / name / "c").mkdir(parents=True)
    for name in ("A.npy", "C.npy"):
        (folder / name).write_bytes(b"x")


def test_results_go_and_inputs_stay(tmp_path):
    fill(tmp_path)
    remove_results(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A", "A.npy"]


def test_memory_is_held_until_there_is_a_result(tmp_path):
    fill(tmp_path)
    with settled(tmp_path, most=1 << 20):
        held = psutil.Process().children()
        assert len(held) == 1
        (tmp_path / "C-new").mkdir()
        held[0].wait(timeout=30)
    assert not (tmp_path / "C-peer").exists()


def test_nobody_is_left_where_there_was_none(tmp_path):
    with settled(tmp_path, most=1 << 20):
        pass
    assert not psutil.Process().children()
