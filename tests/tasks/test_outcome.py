import pickle
from dataclasses import replace

import pytest

from storage import ChunkRecord
from tasks.outcome import Certificate, Measurement


def measurement(**changes) -> Measurement:
    """A sound tile."""
    made = Measurement(
        index=0,
        row=0,
        col=0,
        worker="tcp://127.0.0.1:4000",
        started=0.0,
        finished=1.0,
        lanes={"read": 0.1, "multiply": 0.6, "verify": 0.1, "encode": 0.1, "write": 0.1},
        bytes_read=0,
        bytes_written=0,
        peak_bytes=0,
        square_a=1.0,
        square_b=1.0,
        square_c0=0.0,
        square_residual=0.0,
        worst=0.1,
        chunks=(),
    )
    return replace(made, **changes)


def certificate(**changes) -> Certificate:
    made = Certificate("norm", 1e-6, 1e-7, 1e-9, 0.999, "certified", "float32", 8, 1, False, 1.0, 1.0)
    return replace(made, **changes)


def test_a_record_of_a_few_chunks_is_under_a_kibibyte():
    record = measurement(
        chunks=tuple(ChunkRecord(f"c/{index}/100", 2**24, 2**32 - 1, f"{index}0" * 32, f"{index}f" * 32) for index in range(4))
    )
    assert len(pickle.dumps(record)) < 1024
    assert pickle.loads(pickle.dumps(record)) == record
    assert record.bytes_stored == 4 * 2**24


@pytest.mark.parametrize(("worst", "accepted"), [(0.0, True), (1.0, True), (1.0001, False), (float("inf"), False), (float("nan"), False)])
def test_a_tile_is_accepted_within_its_bound(worst, accepted):
    assert measurement(worst=worst).accepted is accepted


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("promised", "measured", "kept"),
    [
        (1e-6, 1.0, True),
        (1.0, 1e-6, True),
        (1.1e-6, 1.1e-6, False),
        (INF, 1e-7, True),
        (INF, INF, False),
        (NAN, NAN, False),
        (0.0, 0.0, True),
    ],
)
def test_a_promise_is_kept_by_either_bound(promised, measured, kept):
    assert certificate(promised=promised, measured=measured).kept is kept


def test_a_bound_that_is_no_number_keeps_nothing():
    assert not certificate(promised=1.0, measured=NAN).kept
    assert not certificate(promised=NAN, measured=1.0).kept
