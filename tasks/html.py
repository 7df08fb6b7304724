"""The report as one HTML file that needs nothing else: no network, no script, charts inline, light and dark, print and phone."""

import json
from datetime import UTC, datetime

from tasks.charts import charts
from tasks.hardware import describe
from tasks.pages import Figure, page, sized
from tasks.report import Report
from tasks.summary import choice_rows, codec_rows, comparison, drift_rows, plan_row, rounding_rows, sampled_rows, stored_line
from tasks.units import format_bytes, format_count, format_seconds
from tasks.wording import asked, bound, confidence, formula, power_of_ten

VERDICTS = {
    "exact": ("good", "exact"),
    "certified": ("good", "certified for every input"),
    "measured": ("good", "certified by probes"),
    "missed": ("bad", "not as exact as asked"),
}
"""Tone and words of a report's verdict."""


def render_html(report: Report) -> str:
    """The page; below 2 MB for any number of tiles."""
    run = report.run
    tone, verdict = VERDICTS[report.verdict]
    return page("report.html").render(
        title=run.problem.title,
        shape=[f"{edge:,}" for edge in run.problem.shape],
        types=run.problem.title.partition(" ")[2],
        formula=formula(run.job),
        tone=tone,
        verdict=verdict,
        started=datetime.fromtimestamp(run.started_at, UTC),
        figures=_figures(report),
        rows=comparison(report),
        charts=charts(report),
        choices=choice_rows(run.plan)[1:],
        codecs=codec_rows(report)[1:],
        facts=_facts(report),
        warnings=report.warnings,
        versions=report.versions,
        data=json.dumps(report.to_json(), indent=1, ensure_ascii=False),
    )


def _figures(report: Report) -> list[Figure]:
    run, clock, certificate = report.run, report.clock, report.certificate
    sure = certificate.exact or certificate.measured > certificate.promised
    error = "exact" if certificate.exact else power_of_ten(bound(min(certificate.measured, certificate.promised)))
    limit = f"asked {power_of_ten(asked(certificate.asked))}"
    speed = format_count(report.flops_done / max(clock.seconds, 1e-9), "FLOP/s")
    peak = format_bytes(report.measured.peak_memory_bytes)
    return [
        Figure("error at most", error, "", limit if sure else f"{limit}; {confidence(certificate.confidence)} confidence"),
        Figure("time", format_seconds(clock.seconds), "", f"predicted {format_seconds(run.plan.predicted.seconds)}"),
        sized("speed", speed, f"{format_count(run.plan.flops, 'FLOP')} in all"),
        sized("peak memory", peak, f"budget {format_bytes(run.plan.memory_limit)}"),
    ]


def _facts(report: Report) -> list[tuple[str, str]]:
    run, plan = report.run, report.run.plan
    job = run.job
    added = [("C0", job.add)] if job.add is not None else []
    return [
        ("A", job.a),
        ("B", job.b),
        *added,
        ("C", stored_line(report)),
        *rounding_rows(report),
        *sampled_rows(plan),
        *drift_rows(report),
        plan_row(report),
        ("bytes", f"{plan.bytes_ratio:.2f} times the least that any schedule with this memory moves"),
        ("machine", describe(run.hardware)),
        ("run", run.run_id),
        *([("root", report.stored.root)] if report.stored.root else []),
    ]
