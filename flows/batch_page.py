"""The summary of a batch as one HTML file that needs nothing else, with bars for the time and the bytes of every job."""

import json
from dataclasses import dataclass
from importlib import metadata

from flows.batch_result import Result
from flows.batch_summary import Summary
from tasks.pages import Figure, page, sized
from tasks.units import format_bytes, format_seconds
from tasks.wording import plural

TONES = {"done": "good", "complete": "good", "failed": "bad", "skipped": "bad"}
"""Of a result's state."""


@dataclass(frozen=True)
class Row:
    """A job; shares are percentages of the largest of all jobs."""

    name: str
    state: str
    tone: str
    message: str
    time: str
    time_share: str
    moved: str
    read_share: str
    write_share: str
    stored: str


def render_page(summary: Summary) -> str:
    """The page."""
    good = summary.exit_code == 0
    return page("batch.html").render(
        name=summary.name,
        tone="good" if good else "bad",
        verdict="all done" if good else f"{plural(len(summary.results) - summary.done, 'job')} not done",
        version=metadata.version("gemmflow"),
        scheduled=summary.scheduled,
        line=summary.line,
        figures=_figures(summary),
        rows=_rows(summary),
        data=json.dumps(_without_reports(summary), indent=1, ensure_ascii=False),
    )


def _figures(summary: Summary) -> list[Figure]:
    read, written, stored = (summary.total(name) for name in ("bytes_read", "bytes_written", "bytes_stored"))
    each = f"at most {summary.at_once} at once, {format_bytes(summary.memory)} each"
    count = f"{summary.count('done')} now, {summary.count('complete')} before"
    return [
        Figure("jobs done", str(summary.done), f"of {len(summary.results)}", count),
        Figure("time", format_seconds(summary.seconds), "", each),
        sized("read", format_bytes(read), "decoded, of A and B"),
        sized("written", format_bytes(written), f"{format_bytes(stored)} compressed"),
    ]


def _rows(summary: Summary) -> list[Row]:
    longest = max(result.seconds for result in summary.results)
    most = max(map(_moved, summary.results))
    return [_row(result, longest, most) for result in summary.results]


def _row(result: Result, longest: float, most: int) -> Row:
    return Row(
        name=result.name,
        state=f"exit {result.exit_code}" if result.state == "failed" else result.state,
        tone=TONES[result.state],
        message=result.message,
        time=format_seconds(result.seconds) if result.seconds else "",
        time_share=_share(result.seconds, longest),
        moved=format_bytes(_moved(result)) if _moved(result) else "",
        read_share=_share(result.bytes_read, most),
        write_share=_share(result.bytes_written, most),
        stored=format_bytes(result.bytes_stored) if result.bytes_stored else "",
    )


def _moved(result: Result) -> int:
    return result.bytes_read + result.bytes_written


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}" if whole else "0"


def _without_reports(summary: Summary) -> dict[str, object]:
    """The page stays small however many jobs and tiles there are: each OUT holds its own certificate."""
    results = [{name: value for name, value in result.to_json().items() if name != "report"} for result in summary.results]
    return summary.to_json() | {"results": results}
