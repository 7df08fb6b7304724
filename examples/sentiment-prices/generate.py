"""Made-up sentiment and price series up to one day: `python generate.py 2026-01-31`. Rows are days; columns have mean 0 and length 1."""

import sys
from pathlib import Path

import numpy as np

DAYS, SUBJECTS, SHARES = 750, 120, 200


def main(day: str) -> None:
    """Write data/sentiment-DAY.npy and, for the same and for the next days, data/prices-DAY.npy and data/prices-next-DAY.npy."""
    folder = Path(__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(int(day.replace("-", "")))
    sentiment = rng.standard_normal((DAYS + 1, SUBJECTS))
    returns = rng.standard_normal((DAYS + 1, SHARES))
    returns[1:, 0] += 3 * sentiment[:-1, 0]  # one share follows one subject by a day
    np.save(folder / f"sentiment-{day}.npy", standard(sentiment[:-1]))
    np.save(folder / f"prices-{day}.npy", standard(returns[:-1]))
    np.save(folder / f"prices-next-{day}.npy", standard(returns[1:]))


def standard(series: np.ndarray) -> np.ndarray:
    """The columns, each with mean 0 and length 1, so that products of columns are correlations."""
    centred = series - series.mean(axis=0)
    return centred / np.linalg.norm(centred, axis=0)


if __name__ == "__main__":
    main(sys.argv[1])
