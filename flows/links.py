"""Where to look while a run goes on: OUT, and the pages of its workers' scheduler where it has any."""

import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from storage import is_url
from tasks.tables import markdown

if TYPE_CHECKING:
    from tasks.cluster import Cluster
    from tasks.prepare import Run

ANSWER_SECONDS = 1.0
"""How long a scheduler's page may take to answer."""


def links(run: "Run", cluster: "Cluster | None") -> str:
    """Links in Markdown. Browsers follow one to a file only where it was copied into their address line."""
    out = run.job.out
    rows = [("what", "where"), ("product", _link(out if is_url(out) else Path(out).as_uri())), ("written in", f"`{run.staging.folder}`")]
    if page := dashboard_of(cluster):
        rows.append(("Dask dashboard", _link(page)))
    return markdown([*rows, ("run", f"`{run.run_id}`")], left=2)


def dashboard_of(cluster: "Cluster | None") -> str:
    """The address of the scheduler's status page; empty where nothing answers there. Our own schedulers have none."""
    if cluster is None or cluster.own:
        return ""
    try:
        page = str(cluster.client.dashboard_link)
        with urllib.request.urlopen(page, timeout=ANSWER_SECONDS) as answer:
            return page if answer.status == HTTPStatus.OK else ""
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return ""


def _link(address: str) -> str:
    return f"[{address}]({address})"
