"""The command that computes nothing: analyze, about stored matrices, a shape or a model."""

import typer

from flows.analyze import with_some_out
from flows.analyze_about import find_out
from flows.analyze_question import Subject, Wanted
from flows.options import Group, Shown, Unbuilt, command
from flows.session import Session, open_session, say_nothing
from flows.show import answer, check_places, tell, write_file
from tasks.choice.reasons import refusal
from tasks.errors import Refused
from tasks.job import Job


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    job = Group(Job, "Job", optional=("a", "b", "out"), complete=with_some_out, later=True)
    command(app, "analyze", job, Group(Subject, "Instead of A and B"), Group(Wanted, "Choice"), Group(Shown, "What it shows"))(analyze)


def analyze(job: Unbuilt, subject: Subject, wanted: Wanted, output: Shown) -> int:
    """Show what a job needs, how long it takes and what it costs, here and on other devices; moves no data, writes nothing else.

    About stored matrices: gemmflow analyze A B; what --save-plan writes, multiply --plan runs, and no other plan. About a product that
    does not exist yet: --shape M,K,N. About a transformer: --model config.json --tokens N. The first call about stored matrices on a
    machine measures it for some seconds. Ends with 3 where nothing can do it, or nothing within the deadline and the budget.
    """
    check_places(output)
    with open_session(Session(notify=say_nothing if output.quiet else tell)):
        found = find_out(job, subject, wanted, output.sample)
    if output.save_plan is not None:
        found.save(output.save_plan)
    if output.html_path is not None:
        from flows.analyze_page import render_page  # noqa: PLC0415 - matplotlib takes a second

        write_file(output.html_path, render_page(found.answer))
    answer(output, found.to_json(), found.to_text())
    if why := refusal(found.answer.ranking):
        raise Refused(why)
    return 0
