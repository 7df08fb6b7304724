"""The cases of `make bench` (quick, minutes) and of `make bench-full`, and those that are run when asked for.

tiny      seconds: whether everything works; no figure of it means anything
quick     two small products by everybody
full      8192³, a thin product with two codecs, a looser error, and the curves
huge      16384³ with 1 GiB: larger than the memory that it gets
"""

from dataclasses import replace

from benchmarks.case import GIB, Axis, Case, Entry, Setting
from tasks.hardware import usable_cores

IN_MEMORY = ("torch in memory", "scipy in memory")
STORED = ("read, torch, write", "dask.array", "cubed", "numpy memmap", "gemmflow")
DURABLE = "gemmflow, durable"
OURS = "gemmflow"

LENGTHS = (1024, 2048, 4096, 8192, 12288)
DEPTHS = (64, 256, 1024, 4096, 16384)
BUDGETS = (GIB // 2, 3 * GIB // 4, GIB, 3 * GIB // 2, 2 * GIB, 4 * GIB)


def suites() -> dict[str, tuple[Case, ...]]:
    """By name; the curve of workers ends at the cores of this machine."""
    small = Setting((512, 384, 640), memory=GIB, chunk=(128, 128))
    depths = {k: replace(small, shape=(512, k, 640)) for k in (64, 256)}
    return {
        "tiny": (
            comparison("tiny", small, ("none",), rounds=1),
            curve("k", "512 × k × 640", ("torch in memory", OURS), depths, "tiny-by-k"),
        ),
        "quick": (
            comparison("4096", Setting((4096, 4096, 4096)), ("none",)),
            comparison("k256-8192", Setting((8192, 256, 8192), "blosc-lz4"), ("none",)),
        ),
        "full": (
            comparison("8192", Setting((8192, 8192, 8192)), ("auto", "none")),
            comparison("k256-lz4", Setting((16384, 256, 16384), "blosc-lz4"), ("auto",)),
            comparison("k256-none", Setting((16384, 256, 16384), "none"), ()),
            looser("8192-loose", Setting((8192, 8192, 8192)), 2e-2),
            *curves(),
        ),
        "huge": (comparison("16384-1GiB", Setting((16384, 16384, 16384), memory=GIB), (), rounds=2),),
    }


def comparison(name: str, setting: Setting, codecs: tuple[str, ...], rounds: int = 3) -> Case:
    """Everybody on one product, and gemmflow with other codecs, too."""
    entries = [Entry(contender, contender, setting) for contender in (*IN_MEMORY, *STORED, DURABLE)]
    entries += [Entry(f"{OURS}, codec {codec}", OURS, replace(setting, codec=codec)) for codec in codecs]
    return Case(name, f"{_product(setting)}, {setting.codec}, {setting.memory / GIB:g} GiB", tuple(entries), rounds)


def looser(name: str, setting: Setting, max_error: float) -> Case:
    """What a larger error that is accepted saves, beside torch in float32 and in bfloat16."""
    loose = replace(setting, max_error=max_error)
    entries = (
        Entry("torch in memory", "torch in memory", setting),
        Entry("torch bfloat16 in memory", "torch bfloat16 in memory", setting),
        Entry(OURS, OURS, setting),
        Entry(f"{OURS}, error {max_error:g}", OURS, loose),
    )
    return Case(name, f"{_product(setting)}, {setting.codec}, error {max_error:g}", entries)


def curves() -> tuple[Case, ...]:
    """Time against n, k, budget and workers."""
    square, deep = Setting((8192, 8192, 8192)), Setting((8192, 8192, 8192), "blosc-lz4")
    by_n = {n: replace(square, shape=(n, n, n)) for n in LENGTHS}
    by_k = {k: replace(deep, shape=(8192, k, 8192)) for k in DEPTHS}
    by_budget = {budget: replace(square, memory=budget) for budget in BUDGETS}
    by_workers = {workers: replace(square, cores=workers) for workers in teams(usable_cores())}
    return (
        curve("n", "n × n × n", (*IN_MEMORY, *STORED), by_n),
        curve("k", "8192 × k × 8192, blosc-lz4", (*IN_MEMORY, "read, torch, write", OURS), by_k),
        curve("budget", "8192³ by memory budget", ("numpy memmap", OURS), by_budget),
        curve("workers", "8192³ by workers, as many cores", (*IN_MEMORY, "dask.array", "cubed", OURS), by_workers),
    )


def curve(axis: Axis, title: str, contenders: tuple[str, ...], settings: dict[int, Setting], name: str = "") -> Case:
    """These contenders at every setting, point after point."""
    entries = (Entry(name, name, setting, float(at)) for at, setting in settings.items() for name in contenders)
    return Case(name or f"by-{axis}", title, tuple(entries), axis=axis)


def teams(cores: int) -> tuple[int, ...]:
    """Powers of two, and all cores.

    >>> teams(1), teams(2), teams(6)
    ((1,), (1, 2), (1, 2, 4, 6))
    """
    return tuple(sorted({1 << power for power in range(cores.bit_length()) if 1 << power <= cores} | {cores}))


def _product(setting: Setting) -> str:
    m, k, n = setting.shape
    return f"{m}³" if m == k == n else f"{m} × {k} × {n}"
