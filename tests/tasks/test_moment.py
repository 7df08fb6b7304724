import time

import psutil
import pytest

from tasks import moment


def test_it_is_now() -> None:
    assert moment.now() == pytest.approx(time.time(), abs=5)


def test_a_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = moment.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= moment.now() - before < 5


def test_the_process_began_when_the_system_says() -> None:
    assert moment.process_start() == pytest.approx(psutil.Process().create_time(), abs=1.5)
