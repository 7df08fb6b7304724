"""Answers about what need not exist: a product of some shape, a transformer. Nothing of it can be submitted."""

from datetime import UTC, datetime
from typing import NoReturn, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from flows.agent.options import MOST_OPTIONS, MOST_PRODUCTS, Advice, as_arguments, option_of, points_of
from flows.agent.store import Document
from flows.analyze_about import find_out
from flows.analyze_question import Subject, Wanted
from flows.options import Unbuilt
from tasks.catalogue import NOTHING_MEASURED
from tasks.choice.answer import Answer
from tasks.choice.reasons import headline
from tasks.errors import BadInput, GemmflowError

NO_PLAN = "nothing of this can be submitted, so it has no plan_id"

NOT_HERE = "nothing was measured on this machine yet: call analyze on stored matrices, which does that"

NEXT = {
    "matrix": f"{NO_PLAN}: call analyze with a job on stored matrices to get one, or ask about another shape",
    "model": f"{NO_PLAN}: gemmflow runs products of stored matrices; ask again with other values to compare",
}


class Question(BaseModel):
    """What crosses to the process that answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: Document
    """Fields of `flows.analyze_question.Subject`: a shape or a model."""
    options: Document = {}
    """Fields of a job that say something about it."""
    wanted: Document = {}
    """Fields of `flows.analyze_question.Wanted`."""


def advise(question: Question) -> Advice:
    """The answer; raises BadInput and Refused as `gemmflow analyze` does."""
    try:
        subject, wanted = Subject.model_validate(question.subject), Wanted.model_validate(question.wanted)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    options = {name: value for name, value in question.options.items() if value is not None}
    try:
        return advice_of(find_out(Unbuilt(options, _no_job), subject, wanted).answer)
    except GemmflowError as error:
        raise type(error)(as_arguments(NOT_HERE if str(error) == NOTHING_MEASURED else str(error))) from error


def advice_of(answer: Answer) -> Advice:
    """What is said of an answer, of bounded length."""
    today, ranking = datetime.now(UTC).date(), answer.ranking
    return Advice(
        title=answer.title,
        headline=as_arguments(headline(ranking)),
        needs=shortened(answer.needs),
        chosen=None if ranking.chosen is None else option_of(ranking.chosen, ranking, today),
        options=[option_of(option, ranking, today) for option in ranking.options[:MOST_OPTIONS]],
        options_left_out=max(0, len(ranking.options) - MOST_OPTIONS),
        what_if=[point for variation in answer.variations for point in points_of(variation)],
        warnings=[as_arguments(text) for text in (*answer.assumptions, *answer.warnings)],
        next=NEXT[answer.kind],
    )


def shortened(needs: Document) -> Document:
    """The needs with the largest products alone; how many were left out stands beside them."""
    products = cast("list[dict[str, int]] | None", needs.get("products"))
    if products is None or len(products) <= MOST_PRODUCTS:
        return needs
    largest = sorted(products, key=lambda product: product["flops"], reverse=True)[:MOST_PRODUCTS]
    return {**needs, "products": largest, "products_left_out": len(products) - MOST_PRODUCTS}


def _no_job() -> NoReturn:
    raise BadInput("a shape or a model has no job that could run")
