"""`gemmflow gram` as whole commands: stored full or as a triangle, resumed, damaged, found out, mended; 10 tiles stand for 16."""

import shutil
import signal

import numpy as np
import pytest
import zarr

from storage import read_certificate
from tests.faults.lab import Lab
from tests.faults.world import World

FIXED = ("--direct", "--chunk", "128,128", "--memory", "1GiB", "--durability", "process", "--codec", "blosc-zstd", "--json", "-")
STORES = {"full": (64, 10), "triangle": (36, 10)}
"""Files and tiles."""


def line(world: World, store: str, *more: str) -> tuple[str, ...]:
    return ("gram", str(world.a), str(world.out), "--store", store, *FIXED, *more)


def truth(world: World) -> np.ndarray:
    a = zarr.open_array(world.a)[:].astype(float)
    return a @ a.T


def check(world: World, store: str) -> np.ndarray:
    """The stored product, which is what A gives."""
    values, exact = world.values(), truth(world)
    seen = ~np.isnan(values)
    assert np.abs(values - exact)[seen].max() < 1e-3
    assert seen.all() if store == "full" else (seen >= np.tri(len(values), dtype=bool)).all() and seen.sum() == 36 * 128**2
    both = seen & seen.T
    assert (values[both] == values.T[both]).all()
    assert len(world.chunks()) == STORES[store][0]
    return values


def flip(path, bit: int = 1000) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.parametrize("store", STORES)
def test_a_gram_matrix_is_computed_checked_and_described(lab: Lab, store: str) -> None:
    done = lab.command(*line(lab.world, store))
    assert done.code == 0, done
    check(lab.world, store)
    report = done.report
    assert (report["plan"]["symmetry"], report["measured"]["tiles"]) == (store, 10)
    assert report["problem"]["flops"] == 1024 * 1025 * 256
    written = STORES[store][0] * 128**2 * 4
    assert report["measured"]["bytes_written"] == report["problem"]["bytes_out"] == written
    assert report["error"]["norm_a"] == report["error"]["norm_b"]
    assert report["job"]["a"] == report["job"]["b"] == str(lab.world.a)
    for level in ((), ("--full",), ("--against-inputs",), ("--expect-root", report["storage"]["root"])):
        sound = lab.command("verify", str(lab.out), *level)
        assert sound.code == 0 and f"{STORES[store][0]} chunks" in sound.output, sound
    shown = lab.command("info", str(lab.out)).output
    assert ("lower triangle" in shown and "read as NaN" in shown) == (store == "triangle")
    again = lab.command("multiply", str(lab.out), str(lab.world.a), str(lab.world.data / "D.zarr"), *FIXED)
    assert again.code == (2 if store == "triangle" else 0), again
    assert store == "full" or f"A {lab.out} is a triangle of a symmetric product" in again.line
    absent = read_certificate(lab.out)["storage"]["absent"]
    assert ("C[j, i]" in absent) == (store == "triangle")


def test_multiply_finds_out_by_itself_that_both_operands_are_one(lab: Lab) -> None:
    link = lab.world.data / "B.zarr"
    shutil.rmtree(link)
    link.symlink_to(lab.world.a)
    done = lab.run("--transpose-b")
    assert done.code == 0 and done.report["plan"]["symmetry"] == "full" and done.report["measured"]["tiles"] == 10
    check(lab.world, "full")
    link.unlink()
    shutil.copytree(lab.world.a, link)
    done = lab.run("--transpose-b", "--overwrite")
    assert done.code == 0 and done.report["plan"]["symmetry"] == "none" and done.report["measured"]["tiles"] == 16


def test_columns_instead_of_rows(lab: Lab) -> None:
    assert lab.command(*line(lab.world, "full", "--transpose", "--alpha", "2")).code == 0
    a = zarr.open_array(lab.world.a)[:].astype(float)
    assert np.abs(lab.world.values() - 2 * a.T @ a).max() < 1e-2


@pytest.mark.parametrize("store", ["full", pytest.param("triangle", marks=pytest.mark.slow)])
def test_a_stopped_run_goes_on_and_gives_the_same_bits(lab: Lab, store: str) -> None:
    assert lab.command(*line(lab.world, store)).code == 0
    chunks = lab.world.chunks()
    shutil.rmtree(lab.out)
    with lab.failing(after=4):
        assert lab.command(*line(lab.world, store)).code == 1
    other = "triangle" if store == "full" else "full"
    refused = lab.command(*line(lab.world, other))
    assert refused.code == 3 and f"store was {store}, now it is {other}" in refused.line
    done = lab.command(*line(lab.world, store))
    assert done.code == 0 and done.report["measured"]["tiles_resumed"] == 4
    assert lab.world.chunks() == chunks and lab.world.beside() == []
    check(lab.world, store)


def test_a_mirror_image_that_is_gone_when_a_run_goes_on_is_computed_again(lab: Lab) -> None:
    with lab.failing(after=6):
        assert lab.command(*line(lab.world, "full")).code == 1
    staged = lab.world.staging
    assert staged is not None
    keys = [chunk["key"] for tile in lab.world.recorded() if tile["copies"] == 2 for chunk in tile["chunks"]]
    above = next(key for key in keys if int(key.split("/")[1]) < int(key.split("/")[2]))
    (staged / "array" / above).unlink()
    done = lab.command(*line(lab.world, "full"))
    assert done.code == 0 and done.report["measured"]["tiles_resumed"] == 5
    check(lab.world, "full")


@pytest.mark.parametrize("store", STORES)
def test_what_is_damaged_is_found_and_mended_bit_for_bit(lab: Lab, store: str) -> None:
    assert lab.command(*line(lab.world, store)).code == 0
    chunks, root = lab.world.chunks(), lab.world.root()
    damaged = ["c/5/0", "c/7/7"] + (["c/1/4"] if store == "full" else [])
    flip(lab.out / damaged[0])
    for key in damaged[1:]:
        (lab.out / key).unlink()
    found = lab.command("verify", str(lab.out), "--json", "-")
    assert found.code == 4 and all(key in found.line for key in damaged)
    mended = lab.command("repair", str(lab.out))
    tiles = len({(2, 0), (3, 3)})  # c/5/0 and c/1/4 belong to one tile, one to its mirror image
    assert mended.code == 0 and f"{len(damaged)} files repaired, {tiles} tiles computed again: bit for bit" in mended.output, mended
    assert (lab.world.chunks(), lab.world.root()) == (chunks, root)
    assert lab.command("verify", str(lab.out), "--full", "--against-inputs", "--expect-root", root).code == 0


def test_a_lost_manifest_of_a_triangle_is_made_again(lab: Lab) -> None:
    assert lab.command(*line(lab.world, "triangle")).code == 0
    root = lab.world.root()
    (lab.out / "gemmflow/manifest").unlink()
    assert lab.command("repair", str(lab.out)).code == 0
    assert lab.command("verify", str(lab.out), "--full", "--expect-root", root).code == 0


def test_an_input_that_changed_is_found_in_the_tiles_that_it_reaches(lab: Lab) -> None:
    assert lab.command(*line(lab.world, "triangle")).code == 0
    zarr.open_array(lab.world.a)[300, 7] += 1
    found = lab.command("verify", str(lab.out), "--against-inputs")
    assert found.code == 4 and "tiles (1, 0), (1, 1), (2, 1), (3, 1) (4 in all)" in found.line, found


def test_rounding_for_storage(lab: Lab) -> None:
    done = lab.command(*line(lab.world, "full", "--max-error", "1e-3", "--round", "auto"))
    assert done.code == 0 and 0 < done.report["error"]["rounding"]["measured"] <= 1e-3
    values = lab.world.values()
    assert (values == values.T).all()
    norm = np.linalg.norm(zarr.open_array(lab.world.a)[:].astype(float)) ** 2
    assert np.linalg.norm(values - truth(lab.world)) / norm <= done.report["error"]["measured"] <= 1e-3
    assert lab.command("verify", str(lab.out), "--against-inputs").code == 0


def test_shards_of_a_triangle(lab: Lab) -> None:
    done = lab.command(*line(lab.world, "triangle", "--shard", "256,256"))
    assert done.code == 0, done
    assert sorted(path.parent.name + "/" + path.name for path in (lab.out / "c").glob("*/*")) == sorted(
        f"{row}/{col}" for row in range(4) for col in range(row + 1)
    )
    assert lab.command("verify", str(lab.out), "--full", "--against-inputs").code == 0


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("store", STORES)
def test_killed_again_and_again_it_gives_the_same_bits(processes: World, store: str) -> None:
    world = processes
    assert world.run(line=line(world, store)).code == 0
    chunks, tiles = world.chunks(), 8 * 9 // 2
    shutil.rmtree(world.out)
    world.forget()
    faults = ["chunk renamed:7:all", "tile recorded:9:all", "tile recorded:5:driver", "manifest before:1:all", "exchange before:1:all"]
    for fault in faults:
        assert world.run(line=line(world, store), fault=fault).code == -signal.SIGKILL
    assert world.run(line=line(world, store)).code == 0
    assert world.chunks() == chunks and world.beside() == []
    check(world, store)
    counted = world.computed()
    assert sorted(counted) == list(range(tiles)) and sum(counted.values()) <= tiles + 4 * len(faults)
