"""Damaged bytes end in Undecodable, never in a wrong value with a checksum, never outside the buffer."""

import gzip

import numcodecs.zstd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import CODECS, Codec
from storage.chain import DECODERS, Chain, Undecodable, crc32c

VALUES = np.random.default_rng(3).standard_normal(5000).astype(np.float32).round(1)
GUARD = 64


def decode(chain: Chain, encoded: bytes, nbytes: int = VALUES.nbytes) -> bytes:
    guarded = np.full(nbytes + 2 * GUARD, 0xA5, np.uint8)
    try:
        chain.decode(np.frombuffer(encoded, np.uint8), guarded[GUARD:-GUARD])
    finally:
        assert (guarded[:GUARD] == 0xA5).all() and (guarded[-GUARD:] == 0xA5).all()
    return guarded[GUARD:-GUARD].tobytes()


def chain_of(codec: Codec, checksum: bool = True) -> Chain:
    return Chain(codec.chain.compressor, checksum, VALUES.dtype.str)


@pytest.fixture(params=sorted(CODECS))
def codec(request: pytest.FixtureRequest) -> Codec:
    return CODECS[request.param]


@pytest.mark.parametrize("checksum", [True, False])
def test_every_cut_is_noticed(codec: Codec, checksum: bool) -> None:
    encoded = codec.encode(VALUES) if checksum else codec.encode(VALUES)[:-4]
    chain = chain_of(codec, checksum)
    assert decode(chain, encoded) == VALUES.tobytes()
    for cut in (0, 1, 3, 4, 15, 16, 17, len(encoded) // 2, len(encoded) - 1):
        with pytest.raises(Undecodable):
            decode(chain, encoded[:cut])


def test_a_chunk_of_another_size_is_noticed(codec: Codec) -> None:
    for count in (4999, 5001):
        encoded = codec.encode(np.resize(VALUES, count))
        with pytest.raises(Undecodable, match=r"decode|holds"):
            decode(chain_of(codec), encoded)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(CODECS)), st.data())
def test_damage_stays_inside_the_buffer_without_a_checksum(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    encoded = bytearray(codec.encode(VALUES)[:-4])
    for _ in range(data.draw(st.integers(1, 4))):
        near_head = data.draw(st.booleans())
        encoded[data.draw(st.integers(0, 31 if near_head else len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(chain_of(codec, checksum=False), bytes(encoded))
    except Undecodable as error:
        assert str(error)


@given(st.sampled_from(sorted(CODECS)), st.data())
def test_a_flipped_bit_never_passes_the_checksum(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    encoded = bytearray(codec.encode(VALUES))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Undecodable, match="checksum"):
        decode(chain_of(codec), bytes(encoded))


def test_gzip_members_may_follow_one_another() -> None:
    raw = VALUES.tobytes()
    assert decode(Chain("gzip", checksum=False), gzip.compress(raw[:7777]) + gzip.compress(raw[7777:])) == raw


def test_a_small_file_cannot_ask_for_more_memory_than_a_chunk() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    with pytest.raises(Undecodable, match="more than"):
        decode(Chain("gzip", checksum=False), bomb)
    with pytest.raises(Undecodable, match="holds"):
        decode(Chain("zstd", checksum=False), numcodecs.zstd.compress(bytes(50 << 20)))


@pytest.mark.parametrize("size", [1, 255, 256, 300, 65535, 65536, 70000])
def test_zstd_frames_of_every_header_form(size: int) -> None:
    raw = bytes(size)
    assert decode(Chain("zstd", checksum=False), numcodecs.zstd.compress(raw), size) == raw


def test_crc32c_is_castagnoli() -> None:
    assert crc32c(np.frombuffer(b"123456789", np.uint8)) == 0xE3069283  # check value of RFC 3720, appendix B.4


def test_every_codec_has_a_decoder() -> None:
    assert {codec.chain.compressor for codec in CODECS.values()} <= set(DECODERS)
