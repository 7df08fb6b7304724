"""The stamp of a matrix on an object store changes with any of its objects."""

import zarr

from storage import contents_stamp, open_matrix
from storage.objects import ObjectStore


def test_any_change_changes_the_stamp(s3: ObjectStore) -> None:
    array = zarr.create_array({}, shape=(4, 4), chunks=(2, 2), dtype="f4")
    s3.put("zarr.json", array.store._store_dict["zarr.json"].to_bytes())
    matrix = open_matrix(s3.url)
    seen = [contents_stamp(matrix)]
    s3.put("c/0/0", b"one")
    seen.append(contents_stamp(matrix))
    s3.put("c/0/0", b"two")
    seen.append(contents_stamp(matrix))
    s3.put("c/0/1", b"two")
    seen.append(contents_stamp(matrix))
    assert len(set(seen)) == 4 and contents_stamp(matrix) == seen[-1]
    s3.put(f"{'c/0/1'}", b"two")
    assert contents_stamp(matrix) == seen[-1], "the same content written again is no change"
