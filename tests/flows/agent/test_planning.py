import asyncio
import json
from typing import Any

import pytest

from flows.agent import planning
from flows.agent.faults import AgentError
from flows.agent.planning import Desk


async def silent(waited: float) -> None:
    del waited


class Slow(Desk):
    """Plans by sleeping for as long as the question says."""

    begun = 0

    async def _plan(self, question: str) -> dict[str, Any]:
        self.begun += 1
        await asyncio.sleep(json.loads(question)["seconds"])
        return {"planned": question}


def test_an_answer_that_is_not_ready_is_fetched_later() -> None:
    async def run() -> None:
        desk, heard = Slow(), []

        async def tell(waited: float) -> None:
            heard.append(waited)

        assert await desk.ask({"seconds": 0.5}, 0.0, tell) is None
        assert await desk.ask({"seconds": 0.5}, 0.2, tell) is None
        assert await desk.ask({"seconds": 0.5}, 5.0, tell) == {"planned": '{"seconds": 0.5}'}
        assert desk.begun == 1 and heard
        assert await desk.ask({"seconds": 0.0}, 5.0, tell) is not None and desk.begun == 2

    asyncio.run(run())


def test_answers_that_nobody_fetches_make_room_and_open_questions_do_not() -> None:
    async def run() -> None:
        desk = Slow()
        for number in range(planning.MOST_WAITING * 2):
            await desk.ask({"seconds": 0.0, "n": number}, 0.0, silent)
            await asyncio.sleep(0.005)
        assert len(desk._open) <= planning.MOST_WAITING
        with pytest.raises(AgentError, match="plans are being made"):
            for number in range(planning.MOST_WAITING * 2):
                await desk.ask({"seconds": 30.0, "n": number}, 0.0, silent)
        for task in desk._open.values():
            task.cancel()

    asyncio.run(run())


def test_a_planner_that_dies_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning.sys, "executable", "/bin/false")
    answer = asyncio.run(Desk().ask({"job": {}}, 20.0, silent))
    assert answer is not None and answer["fault"]["code"] == "not_planned" and "code 1" in answer["fault"]["cause"]


def test_planning_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    program = tmp_path / "slow"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(planning.sys, "executable", str(program))
    monkeypatch.setattr(planning, "PLANNING_SECONDS", 0.2)
    answer = asyncio.run(Desk().ask({"job": {}}, 20.0, silent))
    assert answer is not None and "no plan was made in" in answer["fault"]["cause"]
