"""What people read first: the headline, the rows of asked, predicted and measured, and what a plan foresees."""

from typing import TYPE_CHECKING

from tasks.integers import integers_line
from tasks.outcome import Certificate
from tasks.plan import LANES, Plan
from tasks.survey import Problem
from tasks.symmetry import symmetry_words
from tasks.tables import Row
from tasks.units import format_bytes, format_count, format_seconds
from tasks.wording import (
    asked,
    bound,
    cached_words,
    change,
    codec_words,
    confidence,
    done_rounding,
    files_line,
    formula,
    plan_line,
    planned_rounding,
    plural,
    skipped_words,
)

if TYPE_CHECKING:
    from tasks.report import Report


def headline(report: "Report") -> str:
    """What, how exact, how long, in one line."""
    seconds = report.clock.seconds
    rate = format_count(report.flops_done / seconds, "FLOP/s") if seconds > 0 else ""
    return f"{formula(report.run.job)} in {format_seconds(seconds)}{f' at {rate}' if rate else ''}, {error_words(report.certificate)}"


def error_words(certificate: Certificate) -> str:
    """How exact the product is, in a clause."""
    if certificate.exact:
        return "every element exact"
    if certificate.measured <= certificate.promised:
        return f"error at most {bound(certificate.measured)} with {confidence(certificate.confidence)} confidence"
    return f"error at most {bound(certificate.promised)} for every input"


def stored_line(report: "Report") -> str:
    """Where the product lies and what it takes there."""
    stored = report.stored
    why = f" ({stored.why})" if stored.why else ""
    return f"{report.run.job.out}: {format_bytes(stored.bytes_stored)} as {stored.codec}, compressed {stored.ratio:.2f} : 1{why}"


def rounding_rows(report: "Report") -> list[tuple[str, str]]:
    """What rounding before storage did; no row where nothing was asked."""
    return _optional("rounded", done_rounding(report.certificate.rounding))


def certificate_row(certificate: Certificate) -> tuple[str, str]:
    """What is promised, who measured it, what the error is relative to, and in which arithmetics the tiles were computed."""
    used = _used(certificate) or certificate.arithmetic
    proof = f"{certificate.probes} random probes, seed {certificate.seed}, {confidence(certificate.confidence)} confidence"
    certified = f"certified at most {bound(certificate.promised)}, " if certificate.guarantee == "certified" else ""
    return "proof", f"{certified}measured by {proof}; relative to {certificate.norm.partition(' / ')[2]}; {used}"


def plan_row(report: "Report") -> tuple[str, str]:
    """The plan that was followed, and what computed the tiles where that was not all in the planned arithmetic."""
    planned, used = report.run.plan, report.certificate.arithmetics
    instead = f"; computed were {_used(report.certificate)}" if used and set(used) != {planned.arithmetic} else ""
    symmetric = f"; {words}" if (words := symmetry_words(planned.shape, planned.symmetry)) else ""
    return "plan", plan_line(planned) + instead + symmetric


def _used(certificate: Certificate) -> str:
    return ", ".join(f"{plural(count, 'tile')} in {name}" for name, count in certificate.arithmetics.items())


def sampled_rows(plan: Plan) -> list[tuple[str, str]]:
    """What was read before the plan was made, beside the bytes that the tiles read; no row where that was nothing."""
    share = "at most 2 % of the inputs, not among the bytes read"
    return _optional("sampled", f"{format_bytes(plan.sampled_bytes)} to plan with: {share}" if plan.sampled_bytes else "")


def drift_rows(report: "Report") -> list[tuple[str, str]]:
    """What made the run longer or shorter than predicted; no row where it kept to the predicted range."""
    return _optional("drift", report.drift)


def comparison(report: "Report") -> list[Row]:
    """The rows of asked, predicted and measured."""
    run, predicted, measured, certificate = report.run, report.run.plan.predicted, report.measured, report.certificate
    seconds, asked_memory = report.clock.seconds, "" if run.job.memory is None else format_bytes(run.job.memory)
    return [
        Row("error", asked(certificate.asked), bound(_foreseen(run.plan)), _error(certificate)),
        Row("time", "", format_seconds(predicted.seconds), format_seconds(seconds), change(predicted.seconds, seconds)),
        *(_lane(lane, predicted.lanes.get(lane, 0.0), measured.lanes[lane]) for lane in LANES),
        _size("memory", predicted.peak_memory_bytes, measured.peak_memory_bytes, asked_memory),
        _size("bytes read", predicted.bytes_read, measured.bytes_read),
        _size("bytes written", predicted.bytes_written, measured.bytes_written),
        _rate(report),
        Row("start-up", "", "", format_seconds(report.clock.startup_seconds)),
    ]


def plan_rows(plan: Plan, problem: Problem) -> list[tuple[str, str]]:
    """What a plan foresees, name and value."""
    predicted = plan.predicted
    low_high = predicted.seconds_interval
    interval = f" (between {format_seconds(low_high[0])} and {format_seconds(low_high[1])})" if low_high else ""
    moved = predicted.bytes_read + predicted.bytes_written
    lanes = ", ".join(f"{lane} {format_seconds(predicted.lanes.get(lane, 0.0))}" for lane in LANES)
    return [
        ("work", f"{format_count(plan.flops, 'FLOP')}, {plan.dtype_out} product of {format_bytes(predicted.bytes_written)}"),
        *_optional("zeros", skipped_words(plan.skipped)),
        *_optional("symmetry", symmetry_words(plan.shape, plan.symmetry)),
        ("plan", plan_line(plan)),
        ("error", error_plan(plan)),
        *_optional("integers", integers_line(plan, problem)),
        *_optional("rounding", planned_rounding(plan.rounding)),
        *sampled_rows(plan),
        ("time", f"{format_seconds(predicted.seconds)}{interval}"),
        ("", f"each worker: {lanes}"),
        *_optional("cached", cached_words(plan.inputs)),
        ("memory", f"{format_bytes(predicted.peak_memory_bytes)} of {format_bytes(plan.memory_limit)}"),
        ("", "each worker: " + ", ".join(f"{name} {format_bytes(count)}" for name, count in predicted.memory_items.items())),
        ("bytes", f"{format_bytes(moved)} moved, {plan.bytes_ratio:.2f} times the least that any schedule can move"),
        ("stored", f"{codec_words(plan.codec)} in {files_line(plan)}"),
    ]


def choice_rows(plan: Plan) -> list[tuple[str, str, str, str, str, str]]:
    """The arithmetics that were weighed, with a head; what is expected to be measured counts under that guarantee alone."""
    rows = [
        (
            choice.arithmetic,
            choice.verdict,
            bound(choice.bound),
            bound(choice.expected) if choice.expected is not None else "",
            format_count(choice.flops, "FLOP/s") if choice.flops else "",
            _seconds(choice.seconds),
        )
        for choice in plan.choices
    ]
    return [("arithmetic", "verdict", "error bound", "expected", "speed of a worker", "time"), *rows]


def error_plan(plan: Plan) -> str:
    """What a plan says of the error."""
    if plan.guarantee == "certified":
        return f"at most {bound(plan.predicted.error_bound)} for every input, {asked(plan.max_error)} accepted"
    ladder = " then ".join(rung.arithmetic for rung in plan.fallbacks)
    data = "" if plan.data else " (the data taken for random numbers)"
    instead = f"in {ladder}" if ladder else "nowhere: there is no better arithmetic, and the run would end"
    return f"{asked(plan.max_error)} accepted: each tile is proved to be within it, or computed again {instead}{data}"


def _optional(name: str, text: str) -> list[tuple[str, str]]:
    return [(name, text)] if text else []


def codec_rows(report: "Report") -> list[tuple[str, str, str, str, str, str]]:
    """The codecs that were tried on the first tile, with a head."""
    rows = [
        (
            row.name,
            row.verdict,
            f"{row.ratio:.2f} : 1",
            format_count(row.encode_bytes_per_second, "B/s"),
            format_count(row.decode_bytes_per_second, "B/s"),
            format_seconds(row.seconds_per_gib),
        )
        for row in report.stored.codecs
    ]
    return [("codec", "verdict", "ratio", "encode", "decode", "time a GiB"), *rows]


def _lane(lane: str, predicted: float, measured: float) -> Row:
    return Row(lane, "", format_seconds(predicted), format_seconds(measured), change(predicted, measured), detail=True)


def _size(name: str, predicted: int, measured: int, asked: str = "") -> Row:
    return Row(name, asked, format_bytes(predicted), format_bytes(measured), change(predicted, measured))


def _rate(report: "Report") -> Row:
    predicted, seconds = report.run.plan.predicted.seconds, report.clock.seconds
    expected = report.run.plan.flops / predicted if predicted > 0 else 0.0
    reached = report.flops_done / seconds if seconds > 0 else 0.0
    return Row("speed", "", format_count(expected, "FLOP/s"), format_count(reached, "FLOP/s"), change(expected, reached))


def _foreseen(plan: Plan) -> float:
    """The error that the plan states: its bound, or what will probably be measured where that counts."""
    expected = next((choice.expected for choice in plan.choices if choice.arithmetic == plan.arithmetic), None)
    return (
        min(plan.predicted.error_bound, expected) if plan.guarantee == "measured" and expected is not None else plan.predicted.error_bound
    )


def _error(certificate: Certificate) -> str:
    return "exact" if certificate.exact else bound(certificate.measured)


def _seconds(seconds: float) -> str:
    return format_seconds(seconds) if seconds < float("inf") else "none"
