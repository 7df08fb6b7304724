"""Made-up questions of one day and known answers: `python generate.py 2026-01-31`. Rows are embeddings of length one, float32."""

import sys
from pathlib import Path

import numpy as np

QUESTIONS, ANSWERS, WIDTH = 300, 500, 96


def main(day: str) -> None:
    """Write data/questions-DAY.npy and data/answers.npy; each question is near one answer."""
    folder = Path(__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    answers = unit(np.random.default_rng(1).standard_normal((ANSWERS, WIDTH)))
    rng = np.random.default_rng(int(day.replace("-", "")))
    meant = rng.integers(0, ANSWERS, QUESTIONS)
    questions = unit(answers[meant] + 0.05 * rng.standard_normal((QUESTIONS, WIDTH)))
    np.save(folder / f"questions-{day}.npy", questions)
    np.save(folder / "answers.npy", answers)


def unit(rows: np.ndarray) -> np.ndarray:
    """The rows, each of length one."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    main(sys.argv[1])
