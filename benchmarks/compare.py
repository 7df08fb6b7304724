"""gemmflow against its peers, everybody in turn: `make bench`, `make bench-full`.

    python -m benchmarks.compare SUITE [--case NAME] [--rounds N] [--scratch DIR] [--results DIR | --save]

Machines of this size are noisy, so only ratios within one round count. Every round runs every entry once, each in a fresh process,
every second round in the opposite order; the first one warms caches, checks the products, and does not count. What is
stored is every single run, case by case as they end, so that nothing is lost when the rest is interrupted.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import machine
from benchmarks.case import Case, Entry
from benchmarks.contenders import CONTENDERS, Failed, Launched, lacking, launch
from benchmarks.inputs import make_inputs, make_maps
from benchmarks.record import Line, Machine, Record, save
from benchmarks.saved import RESULTS
from benchmarks.settled import settled
from benchmarks.spot import FLOAT32, spot_error
from benchmarks.suites import suites
from benchmarks.summary import text

UNSAVED = Path("build") / "bench"


def main() -> None:
    """Measure the cases of a suite, one after the other."""
    table = suites()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=table)
    parser.add_argument("--case", action="append", help="default: all of the suite")
    parser.add_argument("--rounds", type=int, help="default: as the case says")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--results", type=Path, default=UNSAVED, help=f"default: {UNSAVED}")
    parser.add_argument("--save", action="store_true", help="write under benchmarks/results instead")
    options = parser.parse_args()
    names = [case.name for case in table[options.suite]]
    if unknown := set(options.case or ()) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: {options.suite} has {', '.join(names)}")
    with fresh_cache(options.scratch):
        for case in table[options.suite]:
            if case.name in (options.case or names):
                record = measure(replace(case, rounds=options.rounds or case.rounds), options.scratch)
                print(text(record))
                print(f"saved {save(record, RESULTS if options.save else options.results)}\n", flush=True)


@contextmanager
def fresh_cache(scratch: Path) -> Generator[None]:
    """gemmflow knows nothing of this machine but what the rounds that do not count teach it."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix="cache-") as folder:
        before = os.environ.get("GEMMFLOW_CACHE")
        os.environ["GEMMFLOW_CACHE"] = folder
        try:
            yield
        finally:
            del os.environ["GEMMFLOW_CACHE"]
            os.environ.update({"GEMMFLOW_CACHE": before} if before is not None else {})


def measure(case: Case, scratch: Path) -> Record:
    """Run it all; what fails once is left out from then on, and its line says why."""
    started, load = time.strftime("%Y-%m-%dT%H:%M:%S"), machine.load_average()
    environment, commit = machine.environment(), machine.commit()
    runners = [Runner(entry) for entry in case.entries]
    with tempfile.TemporaryDirectory(dir=scratch, prefix="bench-") as folder:
        for shape in case.shapes:
            _make(Path(folder), case, shape)
        for number in range(case.rounds + 1):
            for runner in runners if number % 2 else reversed(runners):
                runner.run(_place(Path(folder), runner.entry.setting.shape), number)
    return Record(
        case=case.name,
        title=case.title,
        axis=case.axis,
        rounds=case.rounds,
        date=started,
        machine=Machine(**machine.facts()),
        versions=machine.versions(),
        environment=environment,
        commit=commit,
        load_before=tuple(load),
        lines=tuple(runner.line() for runner in runners),
    )


class Runner:
    """One entry: its runs so far, or why there will be none."""

    def __init__(self, entry: Entry) -> None:
        self.entry, self.runs, self.error = entry, list[Launched](), None
        self.left_out = lacking(entry.contender)

    def run(self, folder: Path, number: int) -> None:
        """Once; round 0 is not kept, but its product is checked."""
        if self.left_out:
            return
        try:
            with settled(folder):
                launched = launch(self.entry.contender, folder, self.entry.setting)
            if not number:
                self.error = self._checked(folder)
        except Failed as failure:
            self.left_out = str(failure)
            print(f"{self.name} is left out: {failure}", flush=True)
            return
        self.runs += [launched] * bool(number)
        print(f"round {number}: {self.name}, {launched.taken.seconds:.3f} s", flush=True)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.entry.series} at {self.entry.at:g}" if self.entry.at else self.entry.series

    def line(self) -> Line:
        """What is stored of it."""
        entry = self.entry
        return Line(
            entry.series, entry.contender, entry.at, entry.setting, () if self.left_out else tuple(self.runs), self.error, self.left_out
        )

    def _checked(self, folder: Path) -> float | None:
        product = CONTENDERS[self.entry.contender].product
        if not product:
            return None
        error, limit = spot_error(folder, product), self.entry.setting.max_error or FLOAT32
        if not error <= limit:
            raise Failed(f"its product is wrong: {error:.2g} where {limit:g} is allowed")
        return error


def _make(folder: Path, case: Case, shape: tuple[int, int, int]) -> None:
    place = _place(folder, shape)
    place.mkdir()
    entries = [entry for entry in case.entries if entry.setting.shape == shape]
    make_inputs(place, shape, entries[0].setting.chunk)
    if any(entry.contender == "numpy memmap" for entry in entries):
        make_maps(place)


def _place(folder: Path, shape: tuple[int, int, int]) -> Path:
    return folder / "x".join(map(str, shape))


if __name__ == "__main__":
    main()
