"""Hashes stand for bytes: the same for every view of them, other for every other bit."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.record import HASH_DIGITS, VALUES_DIGITS, digest, values_digest


def test_the_hash_is_blake3() -> None:
    assert digest(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"  # first test vector of its authors
    assert len(digest(b"abc")) == HASH_DIGITS


def test_the_hash_of_values_is_xxh3() -> None:
    assert values_digest(b"") == "99aa06d3014798d86001c324468d497f"  # of 128 bits, seed 0, as its authors print it
    assert len(values_digest(b"abc")) == VALUES_DIGITS


@pytest.mark.parametrize("digest", [digest, values_digest])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u8"])
def test_an_array_has_the_hash_of_its_bytes(dtype: str, digest: Callable[[object], str]) -> None:
    values = np.arange(35).reshape(5, 7).astype(dtype)
    assert digest(values) == digest(values.tobytes()) == digest(values.reshape(-1)) == digest(values.view(np.uint8))
    assert digest(values[1:3]) == digest(values[1:3].tobytes())


@pytest.mark.parametrize("digest", [digest, values_digest])
def test_values_that_compare_alike_have_their_own_hashes(digest: Callable[[object], str]) -> None:
    assert digest(np.array([0.0])) != digest(np.array([-0.0]))
    assert digest(np.array([np.nan])) == digest(np.array([np.nan]))


@pytest.mark.parametrize("digest", [digest, values_digest])
@given(st.binary(min_size=1, max_size=200), st.data())
def test_every_bit_counts(digest: Callable[[object], str], content: bytes, data: st.DataObject) -> None:
    flipped = bytearray(content)
    flipped[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert digest(bytes(flipped)) != digest(content) == digest(np.frombuffer(content, np.uint8))
