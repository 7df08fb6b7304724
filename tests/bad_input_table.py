"""The table of everything that can be wrong with a command; `test_bad_input` runs its rows.

A row: what is prepared, the arguments, the exit code, what the one line must contain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks import clusters
from tasks.hardware import installed_memory
from tests.bad_input_world import World

MULTIPLY = "multiply A.zarr B.zarr C.zarr"
MEASURED = "--guarantee measured --max-error"
HUGE = f"{installed_memory() // 2**30 + 2}GiB"
NAN, INF = float("nan"), float("inf")
SHAPE = (6, 4)
E64 = np.ones(SHAPE)


@dataclass(frozen=True)
class Row:
    """One way to be wrong."""

    what: str
    line: str
    """Arguments; A.zarr is 6 x 4, B.zarr 4 x 5, C0.zarr 6 x 5, all in chunks of 2 x 2."""
    code: int
    says: tuple[str, ...]
    prepare: Callable[[World], Any] = lambda world: None


def impatient(world: World) -> None:
    world.patch.setattr(clusters, "CONNECT_SECONDS", 1.0)


def key_for_all(world: World) -> None:
    world.text("open.key", "ab" * 32)
    (world.folder / "open.key").chmod(0o644)
    world.patch.setenv("GEMMFLOW_KEYS", str(world.folder))


def with_a(values: np.ndarray) -> Callable[[World], None]:
    return lambda world: world.npy("X.npy", values)


def old_result(world: World) -> None:
    """A.zarr as a version wrote it that knew no manifests."""
    world.edit("A.zarr/zarr.json", attributes={"gemmflow": {"run_id": "20250101-000000-abcd"}})


def two_arrays(world: World) -> None:
    np.savez(world.folder / "Z.npz", p=E64, q=E64)


def flip_a_one(world: World) -> None:
    """The last of the ones that Z.npz holds."""
    one = np.ones(1, np.float32).tobytes()
    world.damage("Z.npz", lambda content: content[: (at := content.rindex(one))] + b"\x01" + content[at + 1 :])


def integers(world: World) -> None:
    world.zarr("I", np.ones(SHAPE, "int8"))


X = "multiply X.npy B.zarr C.zarr"
Z = "multiply Z.npz B.zarr C.zarr"
STRUCTURED = np.zeros(SHAPE, [("re", "f4"), ("im", "f4")])

HEADERS = [
    Row("A is missing", "multiply no.zarr B.zarr C.zarr", 2, ("no.zarr does not exist", "check the path")),
    Row("B is missing", "multiply A.zarr no.zarr C.zarr", 2, ("no.zarr does not exist", "check the path")),
    Row("C0 is missing", f"{MULTIPLY} --add no.zarr --beta 1", 2, ("no.zarr does not exist", "check the path")),
    Row("a link to nowhere", "multiply L B.zarr C.zarr", 2, ("/L does not exist",), lambda w: w.link("L", "gone")),
    Row("an empty path", "multiply  B.zarr C.zarr", 2, ("empty",)),
    Row("a text file", "multiply x.txt B.zarr C.zarr", 2, ("x.txt is a file", ".npy", "Zarr"), lambda w: w.text("x.txt", "1 2 3")),
    Row("an empty file", "multiply x.npy B.zarr C.zarr", 2, ("x.npy is a file", ".npy"), lambda w: w.text("x.npy", "")),
    Row("a plain folder", "multiply x B.zarr C.zarr", 2, ("x is a folder without Zarr metadata",), lambda w: w.folder_with("x", "f")),
    Row("a group", "multiply g B.zarr C.zarr", 2, ("g is a Zarr group", "one of its arrays: p, q"), lambda w: w.group("g", "p", "q")),
    Row("an empty group", "multiply g B.zarr C.zarr", 2, ("g is a Zarr group without arrays", "name"), lambda w: w.group("g")),
    Row("a damaged header", MULTIPLY, 2, ("A.zarr has a damaged zarr.json", "restore"), lambda w: w.text("A.zarr/zarr.json", "{")),
    Row(
        "a header of a later version",
        MULTIPLY,
        2,
        ("A.zarr is Zarr version 9", "version 2 or 3"),
        lambda w: w.edit("A.zarr/zarr.json", zarr_format=9),
    ),
    Row("an unknown codec in A", MULTIPLY, 2, ("A.zarr", "pcodec9"), lambda w: w.edit("A.zarr/zarr.json", codecs=[{"name": "pcodec9"}])),
    Row("0-d", X, 2, ("X.npy has 0 dimensions", "2-d"), with_a(np.float32(1))),
    Row(
        "sparse of another format",
        Z,
        2,
        ("Z.npz is a sparse matrix in coo format", ".tocsr()"),
        lambda w: w.npz("Z", format=np.array(b"coo")),
    ),
    Row("dense arrays in a .npz", Z, 2, ("Z.npz holds p, q, no scipy sparse matrix", "numpy.save"), two_arrays),
    Row("sparse without values", Z, 2, ("Z.npz lacks data", "save_npz"), lambda w: w.npz("Z", data=None)),
    Row("sparse of other rows", Z, 2, ("6 lines (6 x 4) have 4 indptr", "save_npz"), lambda w: w.npz("Z", indptr=np.arange(4))),
    Row("sparse index out of range", Z, 2, ("Z.npz has index 4 in row 0, but 4 columns",), lambda w: w.npz("Z", indices=np.arange(1, 25))),
    Row(
        "sparse rows that end before they start",
        Z,
        2,
        ("damaged indptr",),
        lambda w: w.npz("Z", indptr=np.array([0, 8, 4, 12, 16, 20, 24])),
    ),
    Row("sparse pickles", Z, 2, ("data.npy holds object of shape (24,)",), lambda w: w.npz("Z", data=np.array([None] * 24, object))),
    Row("sparse of complex numbers", Z, 2, ("Z.npz holds complex128", "convert"), lambda w: w.npz("Z", data=np.ones(24) * 1j)),
    Row("sparse and truncated", Z, 2, ("Z.npz is a damaged .npz", "restore"), lambda w: (w.npz("Z"), w.damage("Z.npz", lambda b: b[:-9]))),
    Row("sparse with a flipped bit", Z, 2, ("Z.npz member data.npy fails its checksum", "CRC-32"), lambda w: (w.npz("Z"), flip_a_one(w))),
    Row("1-d", X, 2, ("X.npy has 1 dimension (4,)", "2-d"), with_a(np.ones(4))),
    Row("3-d", X, 2, ("X.npy has 3 dimensions (2, 3, 4)", "2-d"), with_a(np.ones((2, 3, 4)))),
    Row("1-d zarr", "multiply x B.zarr C.zarr", 2, ("1 dimension (4,)", "2-d"), lambda w: w.zarr("x", np.ones(4))),
    Row("3-d zarr", "multiply x B.zarr C.zarr", 2, ("3 dimensions (2, 2, 2)", "2-d"), lambda w: w.zarr("x", np.ones((2, 2, 2)))),
    Row("no rows", X, 2, ("X.npy is empty, shape (0, 4)", "at least one row"), with_a(np.ones((0, 4)))),
    Row("no columns", X, 2, ("X.npy is empty, shape (6, 0)", "at least one row"), with_a(np.ones((6, 0)))),
    Row("no rows, zarr", "multiply x B.zarr C.zarr", 2, ("empty, shape (0, 4)",), lambda w: w.zarr("x", np.ones((0, 4)))),
    Row("complex", X, 2, ("X.npy holds complex64", "convert"), with_a(np.ones(SHAPE, "c8"))),
    Row("strings", X, 2, ("X.npy holds <U3", "convert"), with_a(np.full(SHAPE, "abc"))),
    Row("bytes", X, 2, ("X.npy holds |S3", "convert"), with_a(np.full(SHAPE, b"abc"))),
    Row("bool", X, 2, ("X.npy holds bool", "convert"), with_a(np.ones(SHAPE, bool))),
    Row("structured", X, 2, ("X.npy holds", "re", "convert"), with_a(STRUCTURED)),
    Row("objects", X, 2, ("X.npy holds object", "convert"), with_a(np.full(SHAPE, None))),
    Row("dates", X, 2, ("X.npy holds datetime64[D]", "convert"), with_a(np.zeros(SHAPE, "M8[D]"))),
    Row("long double", X, 2, ("X.npy holds float128", "convert"), with_a(np.ones(SHAPE, np.longdouble))),
    Row("complex zarr", "multiply x B.zarr C.zarr", 2, ("holds complex64", "convert"), lambda w: w.zarr("x", np.ones(SHAPE, "c8"))),
    Row("bool zarr", "multiply x B.zarr C.zarr", 2, ("holds bool", "convert"), lambda w: w.zarr("x", np.ones(SHAPE, bool))),
    Row(
        "strings, zarr", "multiply x B.zarr C.zarr", 2, ("holds fixed_length_utf32", "convert"), lambda w: w.zarr("x", np.full(SHAPE, "ab"))
    ),
    Row("structured zarr", "multiply x B.zarr C.zarr", 2, ("holds struct", "convert"), lambda w: w.zarr("x", STRUCTURED)),
    Row("structured zarr 2", "multiply x B.zarr C.zarr", 2, ("holds struct", "convert"), lambda w: w.zarr("x", STRUCTURED, zarr_format=2)),
    Row("truncated .npy", X, 2, ("X.npy is truncated", "bytes", "(6, 4)"), lambda w: (with_a(E64)(w), w.damage("X.npy", lambda b: b[:-9]))),
    Row("cut .npy header", X, 2, ("X.npy", "damaged .npy header", "save"), lambda w: (with_a(E64)(w), w.damage("X.npy", lambda b: b[:40]))),
    Row("only the magic", X, 2, ("X.npy", "save it again"), lambda w: (with_a(E64)(w), w.damage("X.npy", lambda b: b[:7]))),
    Row("inner dimensions", "multiply A.zarr C0.zarr C.zarr", 2, ("op(A) is 6 x 4 and op(B) is 6 x 5", "transpose-a would fit")),
    Row("inner dimensions, B", "multiply C0.zarr B.zarr C.zarr", 2, ("op(A) is 6 x 5 and op(B) is 4 x 5", "transpose-b would fit")),
    Row("inner dimensions, transposed", f"{MULTIPLY} --transpose-a", 2, ("op(A) is 4 x 6 and op(B) is 4 x 5", "must equal")),
    Row("C0 of another shape", f"{MULTIPLY} --add A.zarr --beta 1", 2, ("C0 is 6 x 4 but the product is 6 x 5",)),
    Row("beta alone", f"{MULTIPLY} --beta 2", 2, ("beta and add belong together",)),
    Row("a triangle of A B", f"{MULTIPLY} --store triangle", 2, ("store triangle needs a symmetric product", "A.zarr and B is", "gram")),
    Row("a triangle of A A", "multiply S S C.zarr --store triangle", 2, ("neither operand is transposed",), lambda w: w.zarr("S", E64[:4])),
    Row("a triangle and C0", f"{MULTIPLY} --add C0.zarr --beta 1 --store triangle", 2, ("store triangle and add do not go together",)),
    Row("half a triangle", "gram A.zarr C.zarr --store half", 2, ("store", "'full' or 'triangle'", "'half'")),
    Row("a triangle of integers", "gram I C.zarr --store triangle", 2, ("int64", "would read as 0", "--dtype-out float64"), integers),
    Row("a gram without X", "gram no.zarr C.zarr", 2, ("no.zarr does not exist", "check the path")),
    Row("a gram with C0", "gram A.zarr C.zarr --add C0.zarr", 2, ("--add",)),
    Row("a gram onto itself", "gram A.zarr A.zarr --overwrite", 2, ("is also the input", "another place")),
    Row("a gram of a vector", "gram X.npy C.zarr", 2, ("X.npy has 1 dimension (4,)", "2-d"), with_a(np.ones(4))),
    Row("add alone", f"{MULTIPLY} --add C0.zarr", 2, ("beta and add belong together",)),
]

PLACES = [
    Row("OUT is A", "multiply A.zarr B.zarr A.zarr", 2, ("is also the input", "another place")),
    Row("OUT is B, overwriting", "multiply A.zarr B.zarr B.zarr --overwrite", 2, ("is also the input", "another place")),
    Row("OUT is C0", "multiply A.zarr B.zarr C0.zarr --add C0.zarr --beta 1 --overwrite", 2, ("is also the input",)),
    Row("OUT in A", "multiply A.zarr B.zarr A.zarr/C", 2, ("lies inside the input", "A.zarr", "another place")),
    Row("OUT holds A", "multiply d/A B.zarr d", 2, ("contains the input", "another"), lambda w: (w.folder_with("d"), w.zarr("d/A", E64))),
    Row("OUT is A by a link", "multiply A.zarr B.zarr L", 2, ("L is also the input", "another"), lambda w: w.link("L", "A.zarr")),
    Row("OUT is A, A by a link", "multiply L B.zarr A.zarr --overwrite", 2, ("is also the input",), lambda w: w.link("L", "A.zarr")),
    Row("OUT in A by a link", "multiply A.zarr B.zarr L/C", 2, ("lies inside the input",), lambda w: w.link("L", "A.zarr")),
    Row("OUT in A by dots", "multiply A.zarr B.zarr A.zarr/../B.zarr/C", 2, ("lies inside the input", "B.zarr")),
    Row("OUT exists", "multiply A.zarr B.zarr C0.zarr", 2, ("C0.zarr exists", "--overwrite")),
    Row("OUT is a file", f"{MULTIPLY} --overwrite", 2, ("C.zarr is no Zarr array", "remove"), lambda w: w.text("C.zarr", "mine")),
    Row("OUT is a folder", f"{MULTIPLY} --overwrite", 2, ("C.zarr is no Zarr array", "remove"), lambda w: w.folder_with("C.zarr", "f")),
    Row("OUT is a group", f"{MULTIPLY} --overwrite", 2, ("C.zarr is no Zarr array", "remove"), lambda w: w.group("C.zarr", "p")),
    Row("OUT holds more", "multiply A.zarr B.zarr C0.zarr --overwrite", 2, ("holds notes beside",), lambda w: w.text("C0.zarr/notes", "x")),
    Row("OUT's folder is missing", "multiply A.zarr B.zarr no/C", 2, ("/no does not exist", "create it")),
    Row("OUT in a file", "multiply A.zarr B.zarr x/C", 2, ("/x is not a folder", "another place"), lambda w: w.text("x", "mine")),
    Row("OUT's folder is read-only", MULTIPLY, 2, ("cannot be written", "permissions"), World.read_only),
    Row(
        "the disk is too small",
        "multiply L R C.zarr",
        3,
        ("bytes free", "needs"),
        lambda w: (w.empty("L", (4_000_000, 1)), w.empty("R", (1, 4_000_000))),
    ),
    Row("--json nowhere", f"{MULTIPLY} --json no/r.json", 2, ("--json no/r.json", "does not exist", "create")),
    Row("--html to standard output", f"{MULTIPLY} --html -", 2, ("--html -", "name one")),
    Row("--html in a folder", f"{MULTIPLY} --html A.zarr", 2, ("--html A.zarr", "name another file")),
]

VALUES = [
    Row("precision", f"{MULTIPLY} --precision float31", 2, ("'float31' is unknown", "did you mean float32?", "bfloat16")),
    Row("codec", f"{MULTIPLY} --codec blosc-zst", 2, ("'blosc-zst' is unknown", "did you mean blosc-zstd?", "gzip")),
    Row("cluster", f"{MULTIPLY} --cluster locla", 2, ("'locla' is unknown", "did you mean local?", "tcp://host:port")),
    Row("durability", f"{MULTIPLY} --durability high", 2, ("durability", "'power' or 'process'", "'high'")),
    Row("stored type", f"{MULTIPLY} --dtype-out int8", 2, ("dtype_out", "float16", "'int8'")),
    Row("integers of floats", f"{MULTIPLY} --dtype-out int64", 3, ("int64 needs an exact product", "float32")),
    Row("memory is no size", f"{MULTIPLY} --memory much", 2, ("'much' is not a size", "4GiB")),
    Row("memory is negative", f"{MULTIPLY} --memory -4GiB", 2, ("'-4GiB' is not a size", "4GiB")),
    Row("memory is below any worker", f"{MULTIPLY} --memory 1MiB", 2, ("1.00 MiB", "64.0 MiB")),
    Row("memory is zero", f"{MULTIPLY} --memory 0", 2, ("0 B", "64.0 MiB")),
    Row("memory is below the plan", f"{MULTIPLY} --memory 100MiB", 3, ("100 MiB is too small", "the smallest plan needs", "give --memory")),
    Row("memory is above the machine's", f"{MULTIPLY} --memory {HUGE}", 3, ("but this machine has", "give at most")),
    Row("max-error negative", f"{MULTIPLY} --max-error -1e-6", 2, ("max_error is -1e-06", "positive number")),
    Row("max-error zero", f"{MULTIPLY} --max-error 0", 2, ("max_error is 0.0", "positive number")),
    Row("max-error NaN", f"{MULTIPLY} --max-error nan", 2, ("max_error is nan", "positive number")),
    Row("max-error infinite", f"{MULTIPLY} --max-error inf", 2, ("max_error is inf", "positive number")),
    Row("max-error no number", f"{MULTIPLY} --max-error small", 2, ("max_error", "a valid number", "'small'")),
    Row("max-error out of reach", f"{MULTIPLY} --max-error 1e-30", 3, ("1e-30", "k = 4", "the best is float64", "ask for at least")),
    Row("max-error and precision", f"{MULTIPLY} --max-error 1e-9 --precision bfloat16", 3, ("bfloat16", "1e-09", "at least")),
    Row("max-error of zeros", f"{MULTIPLY} --max-error 2", 2, ("max_error is 2", "zeros have an error of 1", "give less")),
    Row("max-error out of reach of probes", f"{MULTIPLY} {MEASURED} 1e-30", 3, ("1e-30", "k = 4", "the best is float64", "at least")),
    Row("precision out of reach of probes", f"{MULTIPLY} {MEASURED} 1e-9 --precision bfloat16", 3, ("bfloat16", "1e-09", "at least")),
    Row("precision that this device lacks", f"{MULTIPLY} --precision tf32", 3, ("tf32 is not available on cpu", "there are bfloat16,")),
    Row("precision that these workers lack", f"{MULTIPLY} --precision int8", 3, ("int8 is not available on every worker", "there are")),
    Row("a guarantee of another kind", f"{MULTIPLY} --guarantee measurd", 2, ("guarantee", "'certified' or 'measured'", "'measurd'")),
    Row("measured against nothing", f"{MULTIPLY} --guarantee measured", 2, ("guarantee measured", "give --max-error")),
    Row("measured at a precision", f"{MULTIPLY} --guarantee measured --precision bfloat16", 2, ("guarantee measured", "give --max-error")),
    Row("measured and rounded", f"{MULTIPLY} {MEASURED} 1e-3 --round auto", 2, ("round auto", "leave out round or guarantee measured")),
    Row("measured within zero", f"{MULTIPLY} {MEASURED} 0", 2, ("max_error is 0.0", "positive number")),
    Row("rounding without an error", f"{MULTIPLY} --round auto", 2, ("round auto", "give --max-error")),
    Row("rounding of another kind", f"{MULTIPLY} --round yes --max-error 1e-3", 2, ("round", "'no' or 'auto'", "'yes'")),
    Row("alpha NaN", f"{MULTIPLY} --alpha nan", 2, ("alpha", "finite")),
    Row("chunk of one number", f"{MULTIPLY} --chunk 4", 2, ("chunk is 4:", "rows and columns")),
    Row("chunk of words", f"{MULTIPLY} --chunk a,b", 2, ("chunk", "'a'")),
    Row("chunk of three", f"{MULTIPLY} --chunk 1,2,3", 2, ("chunk is 1,2,3:", "rows and columns")),
    Row("chunk of zero", f"{MULTIPLY} --chunk 0,4", 2, ("chunk is 0,4", "at least 1")),
    Row("shard of one number", f"{MULTIPLY} --shard 4", 2, ("shard is 4:", "rows and columns")),
    Row("shard of words", f"{MULTIPLY} --shard a,b", 2, ("shard", "'a'")),
    Row("shard of three", f"{MULTIPLY} --shard 1,2,3", 2, ("shard is 1,2,3:", "rows and columns")),
    Row("shard of zero", f"{MULTIPLY} --shard 4,0", 2, ("shard is 4,0", "at least 1")),
    Row("shard of a negative number", f"{MULTIPLY} --shard -4,4", 2, ("shard is -4,4", "at least 1")),
    Row("shard that cuts a chunk", f"{MULTIPLY} --shard 4,5 --chunk 2,2", 2, ("shard is 4,5 but chunk is 2,2", "whole multiples", "4,6")),
    Row("shard smaller than a chunk", f"{MULTIPLY} --shard 1,2 --chunk 2,2", 2, ("shard is 1,2 but chunk is 2,2", "such as 2,2")),
    Row(
        "shard that no budget holds",
        "multiply L R C.zarr --shard 20000,20000 --memory 400MiB",
        3,
        ("400 MiB is too small", "give --memory", "or a smaller --shard"),
        lambda w: (w.empty("L", (40_000, 1)), w.empty("R", (1, 40_000))),
    ),
    Row("no workers", f"{MULTIPLY} --workers 0", 2, ("workers", "greater than or equal to 1", "0")),
    Row("workers by name", f"{MULTIPLY} --workers two", 2, ("workers", "a valid integer", "'two'")),
    Row("address without a port", f"{MULTIPLY} --cluster tcp://127.0.0.1", 2, ("tcp://127.0.0.1", "tcp://host:port")),
    Row("address of no protocol", f"{MULTIPLY} --cluster foo://x:1", 2, ("foo://x:1", "tcp://host:port")),
    Row("address of garbage", f"{MULTIPLY} --cluster tcp://[:::", 2, ("tcp://[:::", "tcp://host:port")),
    Row(
        "address of a port too high",
        f"{MULTIPLY} --cluster tcp://127.0.0.1:99999",
        2,
        ("no scheduler answers at tcp://127.0.0.1:99999", "check the address"),
        impatient,
    ),
    Row("address where nobody listens", f"{MULTIPLY} --cluster tcp://127.0.0.1:9", 2, ("no scheduler answers", "127.0.0.1:9"), impatient),
    Row("address of nothing", f"{MULTIPLY} --cluster ://", 2, ("://", "tcp://host:port")),
    Row("unknown option", f"{MULTIPLY} --tiles 4", 2, ("No such option", "--tiles")),
    Row("misspelt option", f"{MULTIPLY} --max-eror 1", 2, ("--max-eror", "--max-error")),
    Row("option without its value", f"{MULTIPLY} --memory", 2, ("--memory", "requires an argument")),
    Row("argument missing", "multiply A.zarr B.zarr", 2, ("Missing argument", "OUT")),
    Row("argument too many", f"{MULTIPLY} D.zarr", 2, ("unexpected extra argument", "D.zarr")),
    Row("unknown command", "multiplies A.zarr", 2, ("No such command", "multiplies")),
    Row("analyze", "analyze A.zarr no.zarr", 2, ("no.zarr does not exist",)),
    Row("seal without a key", f"{MULTIPLY} --seal nobody", 2, ("key 'nobody' is not known", "GEMMFLOW_KEY_NOBODY", "token_hex")),
    Row("seal that is no name", f"{MULTIPLY} --seal ../key", 2, ("seal", "'../key'", "letters, digits")),
    Row("seal with shards", f"{MULTIPLY} --seal k1 --shard 4,4", 2, ("sealed results have no shards", "leave out seal or shard")),
    Row(
        "seal with a key of the wrong length",
        f"{MULTIPLY} --seal short",
        2,
        ("GEMMFLOW_KEY_SHORT holds 2 bytes", "32"),
        lambda w: w.patch.setenv("GEMMFLOW_KEY_SHORT", "abcd"),
    ),
    Row(
        "seal with a key that others can read", f"{MULTIPLY} --seal open", 2, ("open.key is open to other users", "chmod 600"), key_for_all
    ),
    Row("export of a plain array", "export A.zarr P.zarr", 2, ("A.zarr is no result of gemmflow",)),
    Row("export of nothing", "export no.zarr P.zarr", 2, ("no.zarr does not exist", "check the path")),
    Row("rewrap of a plain array", "rewrap A.zarr --key k2", 2, ("A.zarr is not sealed",)),
    Row("rewrap without a key", "rewrap A.zarr", 2, ("give the new one with --key",)),
    Row("info of an input", "info A.zarr", 2, ("A.zarr is no result of gemmflow",)),
    Row("info of nothing", "info no.zarr", 2, ("no.zarr does not exist", "check the path")),
    Row("verify of nothing", "verify no.zarr", 2, ("no.zarr does not exist", "check the path")),
    Row("verify of a plain array", "verify A.zarr", 2, ("A.zarr is no result of gemmflow",)),
    Row("verify of a result without a manifest", "verify A.zarr", 2, ("A.zarr has no manifest", "--overwrite"), old_result),
    Row("verify of a file", "verify x.txt", 2, ("x.txt is no result of gemmflow", "a file"), lambda w: w.text("x.txt", "1 2 3")),
    Row("verify of a folder", "verify x", 2, ("x is no result of gemmflow",), lambda w: w.folder_with("x", "f")),
    Row("a root of too few digits", "verify A.zarr --expect-root 12ab", 2, ("expect_root is '12ab'", "64 hexadecimal digits")),
    Row("a root that is no number", f"verify A.zarr --expect-root {'x' * 64}", 2, ("expect_root", "64 hexadecimal digits")),
    Row("a root forgotten", "verify A.zarr --expect-root", 2, ("--expect-root", "requires an argument")),
    Row("repair of nothing", "repair no.zarr", 2, ("no.zarr", "check the path")),
    Row("repair of a plain array", "repair A.zarr", 2, ("A.zarr is no result of gemmflow",)),
    Row("repair of a result without a manifest", "repair A.zarr", 2, ("A.zarr has no manifest", "--overwrite"), old_result),
    Row("repair of a file", "repair x.txt", 2, ("x.txt is no result of gemmflow",), lambda w: w.text("x.txt", "1 2 3")),
    Row("clean where there is no folder", "clean no/C.zarr", 2, ("/no does not exist", "check the path")),
    Row("clean without OUT", "clean", 2, ("Missing argument", "OUT")),
    Row("info of a result without a manifest", "info A.zarr", 2, ("A.zarr has no manifest",), old_result),
    Row("a demo in too little memory", "demo --memory 100MiB", 2, ("100 MiB", "the demo needs 384 MiB or more")),
]

BATCHES = [
    Row("missing", "batch no.yaml", 2, ("no.yaml cannot be read", "No such file")),
    Row("a folder", "batch A.zarr", 2, ("A.zarr cannot be read",)),
    Row("no YAML", "batch j.yaml", 2, ("j.yaml is no YAML", "line 1"), lambda w: w.text("j.yaml", "- {a: [")),
    Row("binary", "batch A.zarr/c/0/0", 2, ("A.zarr/c/0/0 is no YAML",)),
    Row("empty", "batch j.yaml", 2, ("j.yaml is no list of jobs", "- {a: A.zarr"), lambda w: w.text("j.yaml", "")),
    Row("one job, not a list", "batch j.yaml", 2, ("no list of jobs", "- {a: A.zarr"), lambda w: w.text("j.yaml", "a: A.zarr")),
    Row("a list of words", "batch j.yaml", 2, ("job 1: 'A.zarr' is no job", "a, b and out"), lambda w: w.text("j.yaml", "- A.zarr")),
    Row("empty list", "batch j.yaml", 2, ("no list of jobs",), lambda w: w.text("j.yaml", "[]")),
    Row("a time that is none", "batch j.yaml --scheduled soon", 2, ("scheduled is 'soon'", "2026-01-31T03:00")),
]

BATCH_ENTRIES = [
    ("unknown field", "{a: A.zarr, b: B.zarr, out: C, memroy: 1GiB}", "memroy is no field of a job: did you mean memory?"),
    ("missing field", "{a: A.zarr, b: B.zarr}", "out is missing"),
    ("a number for a path", "{a: 3, b: B.zarr, out: C}", "a: input should be a valid string, not 3"),
    ("missing input", "{a: no.zarr, b: B.zarr, out: C}", "no.zarr does not exist"),
    ("unknown name", "{a: A.zarr, b: B.zarr, out: 'C-{day}'}", "out: {day} is no name: write {scheduled:%Y-%m-%d}"),
    ("output of another", "{a: A.zarr, b: B.zarr, out: ./x/../D.zarr}", "is the output of job 1"),
    ("input that comes later", "{a: D.zarr, b: B.zarr, out: C}", "D.zarr is the output of job 2, which comes later"),
]

READING = [
    Row(
        "NaN in A",
        MULTIPLY,
        1,
        ("A holds nan at [3, 1] (chunk 1, 0) of", "A.zarr", "--allow-nonfinite"),
        lambda w: w.put("A.zarr", (3, 1), NAN),
    ),
    Row("NaN in X", "gram A.zarr C.zarr", 1, ("A holds nan at [3, 1]", "A.zarr", "--allow-"), lambda w: w.put("A.zarr", (3, 1), NAN)),
    Row("infinity in B", MULTIPLY, 1, ("B holds -inf at [0, 4] (chunk 0, 2) of", "B.zarr"), lambda w: w.put("B.zarr", (0, 4), -INF)),
    Row(
        "NaN in A transposed",
        "multiply B.zarr A.zarr C.zarr --transpose-a --transpose-b",
        1,
        ("A holds nan at [1, 2] (chunk 0, 1)", "B.zarr"),
        lambda w: w.put("B.zarr", (1, 2), NAN),
    ),
    Row(
        "NaN in C0",
        f"{MULTIPLY} --add C0.zarr --beta 1",
        1,
        ("C0 holds nan at [5, 4] (chunk 2, 2) of", "C0.zarr"),
        lambda w: w.put("C0.zarr", (5, 4), NAN),
    ),
    Row(
        "infinity in a .npy",
        X,
        1,
        ("A holds inf at [5, 0] of", "X.npy"),
        with_a(np.where(np.arange(24).reshape(SHAPE) == 20, np.float32(INF), 1)),
    ),
    Row("corrupt chunk", MULTIPLY, 1, ("A.zarr chunk c/2/1", "restore"), lambda w: w.damage("A.zarr/c/2/1", lambda b: b"\x00" * len(b))),
    Row(
        "flipped bit",
        "multiply x B.zarr C.zarr",
        1,
        ("x chunk c/0/0 fails its checksum", "crc32c"),
        lambda w: (w.zarr("x", E64, compressors=[{"name": "crc32c"}]), w.damage("x/c/0/0", lambda b: b[:5] + b"\x01" + b[6:])),
    ),
    Row("truncated chunk", MULTIPLY, 1, ("B.zarr chunk c/1/0", "restore"), lambda w: w.damage("B.zarr/c/1/0", lambda b: b[:-3])),
    Row("chunk of no bytes", MULTIPLY, 1, ("B.zarr chunk c/0/2", "restore"), lambda w: w.damage("B.zarr/c/0/2", lambda b: b"")),
    Row(
        "chunk is a folder",
        MULTIPLY,
        1,
        ("A.zarr chunk c/0/0", "restore"),
        lambda w: (w.remove("A.zarr/c/0/0"), w.folder_with("A.zarr/c/0/0")),
    ),
    Row(
        "corrupt shard",
        "multiply x B.zarr C.zarr",
        1,
        ("x chunk c/0/0", "restore"),
        lambda w: (w.zarr("x", np.ones((6, 4)), shards=(4, 4)), w.damage("x/c/0/0", lambda b: b[:-2])),
    ),
    Row("overflow", X, 1, ("overflows at [0, 0]", "--precision float64", "scale"), with_a(np.full(SHAPE, 3e38, np.float32))),
    Row(
        "overflow of the stored type",
        f"{X} --dtype-out float16 --max-error 1",
        1,
        ("overflows at [0, 0]", "use --dtype-out float32, if that overflows too --precision float64 --dtype-out float64, or scale"),
        with_a(np.full(SHAPE, 1e6, np.float32)),
    ),
    Row(
        "overflow of a narrower accumulator",
        f"{X} --precision bfloat16",
        1,
        ("overflows at [1, 0]: bfloat16 stored as float64", "use --precision float64, or scale"),
        with_a(np.where(np.arange(24).reshape(SHAPE) == 5, 1e39, 1.0)),
    ),
    Row(
        "product too large for a norm",
        f"{X} --alpha 1e37",
        4,
        ("their product is too large for a norm", "||op(A)||_F is 1e+153", "alpha 1e+37", "scale it down"),
        with_a(np.where(np.arange(24).reshape(SHAPE) == 9, 1e153, 1.0)),
    ),
    *(
        Row(
            f"values too large for a norm, in {precision}",
            f"{X} --precision {precision}",
            1,
            ("the squared norm of A overflows", "A holds -1e+308 at [3, 2] of", "X.npy", "scale A down"),
            with_a(np.where(np.arange(24).reshape(SHAPE) == 14, -1e308, 1e307)),
        )
        for precision in ("bfloat16", "float32", "float64")
    ),
    *(
        Row(
            f"NaN in the last chunk, {guarantee}",
            f"{MULTIPLY} --precision bfloat16 {guarantee}",
            1,
            ("A holds nan at [5, 3] (chunk 2, 1) of", "A.zarr", "--allow-nonfinite"),
            lambda w: w.put("A.zarr", (5, 3), NAN),
        )
        for guarantee in ("--guarantee certified", f"{MEASURED} 0.012")
    ),
    Row("values too small for a norm", X, 4, ("too small for a norm", "||op(A)||_F is", "scale it up"), with_a(np.full(SHAPE, 1e-200))),
]
