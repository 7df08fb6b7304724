"""The process that answers one question: ``python -m flows.agent.answering`` reads it from standard input and answers on standard
output, as JSON: {"planned": ...}, {"advice": ...} or {"fault": ...}.

It is a process of its own because an answer measures the machine where that was not done, loads libraries and opens files that others
wrote: what goes wrong there ends this process alone. Only what the question needs is loaded.
"""

import json
import os
import sys
from typing import cast

from flows.agent.faults import fault_of
from flows.agent.store import Document


def answer(question: Document) -> Document:
    """What is found, or what went wrong."""
    try:
        return _advice(question) if "subject" in question else _plan(question)
    except Exception as error:  # noqa: BLE001 - whoever asked is told
        return {"fault": fault_of(error).model_dump()}


def _advice(question: Document) -> Document:
    from flows.agent.advisor import Question, advise  # noqa: PLC0415

    return {"advice": advise(Question.model_validate(question)).model_dump(mode="json")}


def _plan(question: Document) -> Document:
    from flows.agent.planner import Price, plan  # noqa: PLC0415
    from tasks.job import make_job  # noqa: PLC0415

    price = Price(cast("float | None", question["usd_per_hour"]), cast("str | None", question["catalogue"]))
    return {"planned": plan(make_job(**cast("Document", question["job"])), price)}


def main() -> None:
    """Answer one question. Standard output holds the answer alone: whatever else is printed goes to standard error."""
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)
        json.dump(answer(cast("Document", json.load(sys.stdin))), output)


if __name__ == "__main__":
    main()
