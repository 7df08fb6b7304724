"""What an analysis shows in Prefect: what the job needs in words, and every device as a table."""

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.analyze_about import Found
from flows.sending import Sender
from tasks.choice.answer import Answer
from tasks.choice.reasons import headline
from tasks.choice.shown import OPTIONS_HEAD, option_rows


def send_answer(found: Found, sender: Sender) -> None:
    """Both; what is still to be sent gets a moment."""
    answer = found.answer
    words = f"{answer.title}: {headline(answer.ranking)}"
    sender.send("needs", lambda: create_markdown_artifact(needs(found), key="gemmflow-needs", description=words))
    sender.send("choice", lambda: create_table_artifact(choice_rows(answer), key="gemmflow-choice", description=words))
    sender.settle()


def needs(found: Found) -> str:
    """The whole answer as it stands in a terminal."""
    return f"## {found.answer.title}\n\n```\n{found.to_text()}\n```"


def choice_rows(answer: Answer) -> list[dict[str, str]]:
    """One row a device, the choice first marked."""
    names = ("", *OPTIONS_HEAD[1:])
    return [dict(zip(names, row, strict=True)) for row in option_rows(answer.ranking)]
