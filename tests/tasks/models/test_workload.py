"""How much is to be done, in steps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import BadInput, GemmflowError, Refused
from tasks.models import MODES, Workload

sizes = st.integers(1, 50)


@settings(deadline=None)
@given(st.integers(1, 10**18), sizes, sizes, st.sampled_from(MODES))
def test_steps_and_sequences_hold_every_token_once(tokens: int, batch: int, sequence: int, mode: str) -> None:
    load = Workload(tokens, batch, sequence, mode)
    assert sum(size * count for size, count in load.steps) == tokens
    assert sum(size * count for size, count in load.sequences) == tokens
    assert load.largest_step == max(size for size, _ in load.steps) <= load.per_step
    assert load.step_count == -(-tokens // load.per_step)
    assert 1 <= load.together <= batch


@pytest.mark.parametrize(
    ("load", "kind", "message"),
    [
        ({"tokens": 0}, BadInput, "tokens is 0: give 1 or more"),
        ({"tokens": -(10**5000)}, BadInput, r"tokens is about -10\*\*5000"),
        ({"tokens": 1.0}, BadInput, "tokens is '1.0': give a whole number"),
        ({"tokens": True}, BadInput, "give a whole number"),
        ({"tokens": float("nan")}, BadInput, "give a whole number"),
        ({"tokens": "9"}, BadInput, "give a whole number"),
        ({"tokens": 1, "batch": 0}, BadInput, "batch is 0"),
        ({"tokens": 1, "sequence": -4}, BadInput, "sequence is -4"),
        ({"tokens": 1, "mode": "chat"}, BadInput, "mode 'chat' is not known: give prefill, decode, train, embed"),
        ({"tokens": 1, "mode": "trian"}, BadInput, "did you mean train"),
        ({"tokens": 1, "recompute": "all"}, BadInput, "recompute 'all' is not known"),
        ({"tokens": 1, "states": "adam"}, BadInput, "states 'adam' is not known"),
        ({"tokens": 10**30}, Refused, r"about 10\*\*30 tokens are more than any job has: give about 10\*\*24 or fewer"),
        ({"tokens": 1, "batch": 10**9, "sequence": 10**9}, Refused, r"batch times sequence is about 10\*\*18 tokens"),
    ],
)
def test_what_is_no_job_is_refused_in_one_line(load: dict, kind: type[GemmflowError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        Workload(**load)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_fewer_tokens_than_a_sequence_are_one_short_sequence() -> None:
    load = Workload(100, batch=8, sequence=4096)
    assert load.steps == load.sequences == ((100, 1),)
    assert (load.longest, load.together) == (100, 1)


def test_decode_keeps_the_length_of_its_cache() -> None:
    load = Workload(100, batch=8, sequence=4096, mode="decode")
    assert load.steps == ((8, 12), (4, 1))
    assert (load.longest, load.together) == (4096, 8)
