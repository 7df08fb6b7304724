"""Headers of weights: counts that are exact, files that are refused."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.models import read_weights
from tasks.models.safetensors import BITS, read_header

Entry = Mapping[str, Any]
F32 = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def entry(dtype: str, shape: list[int], begin: int) -> Entry:
    size = BITS[dtype]
    for side in shape:
        size *= side
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size // 8]}


def write(path: Path, header: object, values: int | None = None, length: int | None = None) -> Path:
    """A file with this header, and as many bytes of values as it speaks of."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    if values is None:
        assert isinstance(header, Mapping)
        values = max((each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"), default=0)
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + bytes(values))
    return path


def sharded(folder: Path, places: Mapping[str, str], size: int | None = 48) -> Path:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": places}))
    return index


def test_counts_by_type(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "b": entry("BF16", [4, 4], 24),
        "a": F32,
        "scale": entry("F8_E8M0", [3], 56),
        "empty": entry("BF16", [0, 7], 59),
        "number": entry("F32", [], 59),
        "packed": entry("F4", [6], 63),
    }
    found = read_weights(write(tmp_path / "model.safetensors", header))
    assert {(each.dtype, each.tensors, each.elements, each.bytes) for each in found.by_dtype} == {
        ("F32", 2, 7, 28),
        ("BF16", 2, 16, 32),
        ("F8_E8M0", 1, 3, 3),
        ("F4", 1, 6, 3),
    }
    assert (found.parameters, found.bytes, found.files) == (32, 66, ("model.safetensors",))
    assert json.loads(json.dumps(found.to_json()))["parameters"] == 32


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(BITS)), st.lists(st.integers(0, 3).map(lambda side: 4 * side), max_size=3)), max_size=8))
def test_any_sound_file_is_counted(tmp_path_factory: pytest.TempPathFactory, arrays: list[tuple[str, list[int]]]) -> None:
    header, begin = {}, 0
    for number, (dtype, shape) in enumerate(arrays):
        shape = shape or [8]
        header[f"t{number}"] = entry(dtype, shape, begin)
        begin = header[f"t{number}"]["data_offsets"][1]
    found = read_weights(write(tmp_path_factory.mktemp("sound") / "x.safetensors", header))
    assert found.bytes == begin
    assert sum(each.tensors for each in found.by_dtype) == len(arrays)


def test_only_the_header_is_read(tmp_path: Path) -> None:
    shape = [1_000_000, 1_000_000]
    file = write(tmp_path / "huge.safetensors", {"w": entry("BF16", shape, 0)}, values=0)
    with file.open("r+b") as sparse:
        sparse.truncate(file.stat().st_size + 2 * 10**12)  # two terabytes, of which nothing is stored
    assert read_weights(file).parameters == 10**12


@pytest.mark.parametrize(
    ("header", "values", "length", "message"),
    [
        ({"a": F32}, 24, 10**12, "more than the 100000000 allowed"),
        ({"a": F32}, 24, 2**64 - 1, "more than the 100000000 allowed"),
        ({"a": F32}, 24, 5000, "is cut off: its header has 5000 bytes"),
        ({"a": F32}, 24, 0, "is no safetensors file"),
        ({"a": F32}, 23, None, "has 23 bytes of values, its header speaks of 24"),
        ({"a": F32}, 25, None, "has 25 bytes of values, its header speaks of 24"),
        (b"not json at all", 24, None, "is not JSON that can be read"),
        (b"[1, 2]", 24, None, "holds a list, not an object"),
        (b'{"a": {}, "a": {}}', 24, None, "'a' is given twice"),
        (b'{"a": ' + b"[" * 100_000, 24, None, "is not JSON that can be read"),
        ({"a": 3}, 24, None, "array 'a' is 3 in the header, not an object"),
        ({"a": F32 | {"dtype": "F99"}}, 24, None, "has the type 'F99': known are"),
        ({"a": F32 | {"dtype": None}}, 24, None, "has the type None"),
        ({"a": F32 | {"shape": [-2, -3]}}, 24, None, r"has the shape \[-2, -3\]"),
        ({"a": F32 | {"shape": [2, 3.0]}}, 24, None, r"has the shape \[2, 3.0\]"),
        ({"a": F32 | {"shape": [True, 6]}}, 24, None, r"has the shape \[True, 6\]"),
        ({"a": F32 | {"shape": "23"}}, 24, None, "has the shape '23'"),
        ({"a": F32 | {"shape": [2**62, 2**62]}}, 24, None, "does not fit its 24 bytes"),
        ({"a": F32 | {"shape": [2**62] * 65}}, 24, None, "has the shape"),
        ({"a": F32 | {"shape": [10**4000]}}, 24, None, "has the shape"),
        ({"a": F32 | {"data_offsets": [-24, 0]}}, 24, None, r"the bytes \[-24, 0\]"),
        ({"a": F32 | {"data_offsets": [24, 0]}}, 24, None, r"the bytes \[24, 0\]"),
        ({"a": F32 | {"data_offsets": [0]}}, 24, None, r"the bytes \[0\]"),
        ({"a": F32 | {"data_offsets": [0, 20]}}, 24, None, "does not fit its 20 bytes"),
        ({"a": F32, "b": F32}, 24, None, "overlaps the one before"),
        ({"a": F32, "b": F32 | {"data_offsets": [12, 36]}}, 36, None, "array 'b' overlaps the one before"),
        ({"a": F32, "b": F32 | {"data_offsets": [30, 54]}}, 54, None, "array 'b' leaves a gap before"),
        ({"a": F32 | {"data_offsets": [8, 32]}}, 32, None, "array 'a' leaves a gap before"),
    ],
)
def test_hostile_headers_are_refused_in_one_line(tmp_path: Path, header: object, values: int, length: int | None, message: str) -> None:
    file = write(tmp_path / "x.safetensors", header, values, length)
    with pytest.raises(BadInput, match=message) as caught:
        read_header(file)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_counted(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "x.safetensors"
    file.write_bytes(data)
    try:
        assert read_weights(file).bytes >= 0
    except BadInput as error:
        assert "\n" not in str(error)


def test_shards_by_their_index_and_by_their_folder(tmp_path: Path) -> None:
    write(tmp_path / "one.safetensors", {"a": F32})
    write(tmp_path / "two.safetensors", {"b": F32})
    without_index = read_weights(tmp_path)
    index = sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})
    assert read_weights(index) == read_weights(tmp_path) == without_index
    assert (without_index.parameters, without_index.bytes, without_index.notes) == (12, 48, ())


def test_an_index_that_is_wrong_about_the_size_is_said(tmp_path: Path) -> None:
    write(tmp_path / "one.safetensors", {"a": F32})
    assert read_weights(sharded(tmp_path, {"a": "one.safetensors"}, size=7)).notes == ("the index says 7 bytes, the files hold 24",)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({}, "has no weight_map"),
        ({"a": "three.safetensors"}, "three.safetensors cannot be read"),
        ({"a": "../one.safetensors"}, "names the file '../one.safetensors': only .safetensors files beside it are read"),
        ({"a": "/etc/passwd"}, "names the file '/etc/passwd'"),
        ({"a": ".."}, r"names the file '\.\.'"),
        ({"a": 3}, "names the file 3"),
        ({"a": "one.safetensors", "c": "one.safetensors"}, "says one.safetensors holds 'c', which none of its files holds"),
        ({"a": "one.safetensors", "b": "one.safetensors"}, "says one.safetensors holds 'b', which none of its files holds"),
        ({"b": "two.safetensors", "a": "two.safetensors"}, "says two.safetensors holds 'a', which none of its files holds"),
    ],
)
def test_an_index_that_is_wrong_is_refused(tmp_path: Path, places: Mapping[str, str], message: str) -> None:
    write(tmp_path / "one.safetensors", {"a": F32})
    write(tmp_path / "two.safetensors", {"b": F32})
    with pytest.raises(BadInput, match=message):
        read_weights(sharded(tmp_path, places))


def test_an_array_that_the_index_leaves_out_is_found(tmp_path: Path) -> None:
    write(tmp_path / "one.safetensors", {"a": F32, "b": F32 | {"data_offsets": [24, 48]}})
    with pytest.raises(BadInput, match=r"says no file holds 'b', which one\.safetensors holds"):
        read_weights(sharded(tmp_path, {"a": "one.safetensors"}))


def test_folders_and_files_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no \.safetensors file"):
        read_weights(tmp_path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_weights(tmp_path / "none.safetensors")
    (tmp_path / "dir.safetensors").mkdir()
    with pytest.raises(BadInput, match="is not a file"):
        read_weights(tmp_path)


def test_an_array_in_two_files_without_an_index_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / f"{name}.safetensors", {"a": F32})
    with pytest.raises(BadInput, match="two files hold 'a'"):
        read_weights(tmp_path)


def test_the_whole_file_of_a_folder_comes_before_others(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", {"a": F32})
    write(tmp_path / "extra.safetensors", {"a": F32})
    assert read_weights(tmp_path).files == ("model.safetensors",)
