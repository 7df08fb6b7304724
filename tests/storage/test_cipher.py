"""Objects come back whole or not at all, and nothing secret leaves a cipher."""

import copy
import pickle
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("cryptography")

from storage import CODECS, held_bytes
from storage import cipher as module
from storage.chain import Undecodable
from storage.cipher import Cipher, derive, unwrap, wrap
from storage.envelope import NONCE_BYTES, SEAL_OVERHEAD, sealing_bytes, split
from storage.keys import Key

ARRAY, OTHER = "ab" * 16, "cd" * 16
SECRET = bytes(range(32))
CIPHER = Cipher(ARRAY, Key(SECRET))


def sealed(key: str, content: bytes, cipher: Cipher = CIPHER) -> np.ndarray:
    return np.frombuffer(b"".join(map(bytes, cipher.seal(key, [content]))), np.uint8)


@given(st.lists(st.binary(max_size=200), max_size=4), st.text(max_size=10))
def test_objects_of_any_parts_come_back(parts: list[bytes], key: str) -> None:
    mixed = [part if index % 2 else np.frombuffer(part, np.uint8) for index, part in enumerate(parts)]
    stored = np.frombuffer(b"".join(map(bytes, CIPHER.seal(key, mixed))), np.uint8)
    assert stored.size == sum(map(len, parts)) + SEAL_OVERHEAD
    assert CIPHER.unseal(key, stored).tobytes() == b"".join(parts)


def test_long_objects_pass_through_the_library_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    content = np.random.default_rng(0).bytes(100_003)
    whole = sealed("c/0/0", content)
    monkeypatch.setattr(module, "_LARGEST_PIECE", 4099)
    assert CIPHER.unseal("c/0/0", whole).tobytes() == content
    assert CIPHER.unseal("c/0/0", sealed("c/0/0", content)).tobytes() == content


def test_every_flipped_bit_is_refused() -> None:
    stored, rng = sealed("c/0/3", np.random.default_rng(0).bytes(3000)), random.Random(3)
    head_and_tag = [*range(8 * 20), *range(8 * (stored.size - 16), 8 * stored.size)]
    for bit in [*head_and_tag, *rng.sample(range(8 * stored.size), 500)]:
        changed = stored.copy()
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Undecodable):
            CIPHER.unseal("c/0/3", changed)


def test_every_truncation_and_extension_is_refused() -> None:
    stored = sealed("c/0/3", b"0123456789")
    for size in range(stored.size):
        with pytest.raises(Undecodable):
            CIPHER.unseal("c/0/3", stored[:size])
    with pytest.raises(Undecodable):
        CIPHER.unseal("c/0/3", np.append(stored, np.uint8(0)))


@pytest.mark.parametrize(
    ("key", "cipher"),
    [
        ("c/3/0", CIPHER),
        ("zarr.json", CIPHER),
        ("c/0/3", Cipher(OTHER, Key(SECRET))),
        ("c/0/3", Cipher(ARRAY, Key(bytes(32)))),
    ],
    ids=["another key of the array", "metadata", "another array", "another data key"],
)
def test_an_object_opens_in_its_own_place_only(key: str, cipher: Cipher) -> None:
    stored = sealed("c/0/3", b"numbers")
    assert CIPHER.unseal("c/0/3", stored).tobytes() == b"numbers"
    with pytest.raises(Undecodable, match="tampered with, swapped, renamed or sealed under another key"):
        cipher.unseal(key, stored)


def test_the_same_object_is_never_sealed_twice_with_one_nonce() -> None:
    nonces = {split(sealed("c/0/0", b"same")).nonce for _ in range(20_000)}
    assert len(nonces) == 20_000 and {len(nonce) for nonce in nonces} == {NONCE_BYTES}


def test_threads_seal_and_unseal_side_by_side() -> None:
    def round_trip(index: int) -> bool:
        content = bytes([index % 251]) * (1000 + index)
        return CIPHER.unseal(f"c/{index}/0", sealed(f"c/{index}/0", content)).tobytes() == content

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, range(400)))


def test_scratch_is_what_was_announced() -> None:
    def held() -> int:
        CIPHER.unseal("c/0/0", sealed("c/0/0", bytes(5000)))
        return held_bytes()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(held).result() == 2 * sealing_bytes(5000)


def test_purposes_and_arrays_have_keys_of_their_own() -> None:
    keys = {derive(Key(SECRET), array, purpose).reveal() for array in (ARRAY, OTHER) for purpose in ("chunks", "metadata", "wrap")}
    assert len(keys) == 6 and SECRET not in keys


@given(st.binary(min_size=32, max_size=32), st.integers(0, 8 * 60 - 1))
def test_a_wrapped_key_opens_with_its_own_key_name_and_array_only(secret: bytes, bit: int) -> None:
    wrapped = wrap(Key(SECRET), Key(secret), ARRAY, "k1")
    found = unwrap(Key(SECRET), wrapped, ARRAY, "k1")
    assert found is not None and found.reveal() == secret and secret not in wrapped
    changed = bytearray(wrapped)
    changed[bit // 8] ^= 1 << bit % 8
    assert unwrap(Key(SECRET), bytes(changed), ARRAY, "k1") is None
    assert unwrap(Key(bytes(32)), wrapped, ARRAY, "k1") is None
    assert unwrap(Key(SECRET), wrapped, OTHER, "k1") is None
    assert unwrap(Key(SECRET), wrapped, ARRAY, "k2") is None


def test_a_cipher_is_never_shown_or_sent() -> None:
    for key in (SECRET, derive(Key(SECRET), ARRAY, "chunks").reveal(), derive(Key(SECRET), ARRAY, "metadata").reveal()):
        assert key.hex() not in repr(CIPHER) and repr(key)[2:-1] not in repr(CIPHER)
    for send in (pickle.dumps, cloudpickle.dumps, copy.deepcopy, lambda cipher: cloudpickle.dumps(lambda: cipher)):
        with pytest.raises(TypeError, match="send the Seal"):
            send(CIPHER)


@pytest.mark.parametrize("codec", ["blosc-zstd"])
def test_what_sealing_costs_beside_encoding(capsys: pytest.CaptureFixture[str], codec: str) -> None:
    block = np.random.default_rng(0).standard_normal((1024, 1024), np.float32)
    body = CODECS[codec].compress(block)
    stored = sealed("c/0/0", body.tobytes())
    encode = fastest(lambda: CODECS[codec].compress(block))
    seal, unseal = fastest(lambda: CIPHER.seal("c/0/0", [body])), fastest(lambda: CIPHER.unseal("c/0/0", stored))
    with capsys.disabled():
        print(
            f"\n{codec}: sealing {seal / encode:.1%} of compressing, {body.size / seal / 1e9:.1f} and {body.size / unseal / 1e9:.1f} GB/s"
        )


def fastest(call: Callable[[], object]) -> float:
    def once() -> float:
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

    return min(once() for _ in range(5))
