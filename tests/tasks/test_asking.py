"""Limits above which a plan is shown first: each is named with both figures, none given asks nothing."""

from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from tasks.asking import AskAbove

PLAN = SimpleNamespace(predicted=SimpleNamespace(seconds=90.0, bytes_read=3 << 30, bytes_written=1 << 30, peak_memory_bytes=2 << 30))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, ()),
        ({"seconds": 90, "moved": "4GiB", "memory": "2GiB"}, ()),
        ({"seconds": 60}, ("time: 1 min 30 s, more than 1 min 00 s",)),
        ({"seconds": 0}, ("time: 1 min 30 s, more than 0.000 s",)),
        ({"usd": 0.05, "usd_per_hour": 2}, ()),
        ({"usd": 0.05, "usd_per_hour": 4}, ("cost: 0.10 $, more than 0.05 $",)),
        ({"moved": "1GiB"}, ("bytes read and written: 4.00 GiB, more than 1.00 GiB",)),
        ({"memory": "1GiB", "seconds": 80}, ("time: 1 min 30 s, more than 1 min 20 s", "memory: 2.00 GiB, more than 1.00 GiB")),
    ],
)
def test_what_is_exceeded_is_named(limits: dict[str, object], words: tuple[str, ...]) -> None:
    assert AskAbove(**limits).exceeded(PLAN) == words


@pytest.mark.parametrize("wrong", [{"seconds": -1}, {"hours": 0}, {"second": 1}, {"moved": "many"}, {"usd": 1}, {"usd_per_hour": -1}])
def test_nonsense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AskAbove(**wrong)


def test_every_field_has_its_help() -> None:
    assert all(field["description"] for field in AskAbove.model_json_schema()["properties"].values())
