"""The file of a sealed object comes apart as it was put together, and what is none is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.chain import Undecodable
from storage.envelope import MAGIC, SEAL_OVERHEAD, bound, split


def stored(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


@given(st.binary(min_size=12, max_size=12), st.binary(max_size=50), st.binary(min_size=16, max_size=16))
def test_the_parts_come_back(nonce: bytes, body: bytes, tag: bytes) -> None:
    content = stored(MAGIC + nonce + body + tag)
    found = split(content)
    assert (found.nonce, found.body.tobytes(), found.tag) == (nonce, body, tag)
    assert content.size == len(body) + SEAL_OVERHEAD


@pytest.mark.parametrize("content", [b"", MAGIC, MAGIC + bytes(27), b"GMMFSL2\n" + bytes(60), b"\x28\xb5\x2f\xfd" + bytes(60)])
def test_what_is_no_sealed_object_is_refused(content: bytes) -> None:
    with pytest.raises(Undecodable, match=rf"no sealed object of version 1 \({len(content)} bytes\)"):
        split(stored(content))


@given(st.lists(st.tuples(st.text("0123456789abcdef", min_size=32, max_size=32), st.text(max_size=8)), unique=True, max_size=20))
def test_no_two_objects_are_bound_alike(objects: list[tuple[str, str]]) -> None:
    assert len({bound(*one) for one in objects}) == len(objects)
