"""Results of the single measurements, as files: one a day and kind, with what is needed to read it later."""

import argparse
import json
import time
from pathlib import Path

from benchmarks.machine import facts, versions

RESULTS = Path(__file__).parent / "results"


def in_rounds(doc: str | None) -> argparse.ArgumentParser:
    """A command line with `--rounds` and `--save`."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true")
    return parser


def show(name: str, results: dict[str, object], save: bool) -> None:
    """Print, and save where that is wanted."""
    print(json.dumps(results, indent=1))
    if save:
        save_as(name, results)


def save_as(name: str, results: dict[str, object]) -> None:
    """Add date, machine and versions; what the file of the same day holds under other keys of `results` stays in it."""
    date = time.strftime("%Y-%m-%d")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{date}-{name}.json"
    found = results.get("results")
    if path.exists() and isinstance(found, dict):
        results["results"] = json.loads(path.read_text())["results"] | found
    path.write_text(json.dumps({"date": date, "machine": facts(), "versions": versions(), **results}, indent=1) + "\n")
    print(f"saved benchmarks/results/{path.name}")
