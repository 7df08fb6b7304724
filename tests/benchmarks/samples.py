"""Records as a measurement would leave them, with round figures."""

from benchmarks.case import GIB, Case, Entry, Setting
from benchmarks.contenders import Launched
from benchmarks.record import Line, Machine, Record
from benchmarks.taken import Taken

MACHINE = Machine("Made Up 9000", ("avx2", "avx512_bf16"), 4, 16 * GIB, "Linux 6.1", "3.11.7")
SMALL = Setting((48, 64, 80), chunk=(32, 32), memory=GIB)
COMPARED = Case("made-up", "48 × 64 × 80", tuple(Entry(name, name, SMALL) for name in ("torch in memory", "cubed", "gemmflow")))


def run(seconds, how=""):
    return Launched(Taken(seconds, 2**20, how=how), seconds + 2)


def line(entry, *seconds, left_out=""):
    how = "float32" if entry.contender == "gemmflow" else ""
    runs = tuple(run(each, how) for each in seconds)
    return Line(entry.series, entry.contender, entry.at, entry.setting, runs, None if left_out else 1e-8, left_out)


def record(lines, case=COMPARED, date="2026-11-25T12:00:00", machine=MACHINE):
    about = (case.name, case.title, case.axis, 3, date, machine)
    return Record(*about, {"numpy": "2.4"}, {"OMP_PROC_BIND": "true"}, "abc1234", (0.1, 0.2, 0.3), tuple(lines))


def comparison(**changes):
    floor, cubed, ours = COMPARED.entries
    missing = line(cubed, left_out="the package cubed is not installed")
    return record([line(floor, 1.0, 2.0, 4.0), missing, line(ours, 2.0, 2.0, 2.0)], **changes)


def curve(axis="n", **changes):
    entries = [Entry(name, name, SMALL, at) for at in (1024.0, 2048.0) for name in ("torch in memory", "gemmflow")]
    case = Case(f"by-{axis}", "n × n × n", tuple(entries), axis=axis)
    lines = [line(entry, entry.at / 1024, 1.1 * entry.at / 1024) for entry in entries]
    return record(lines, case, **changes)
