from pathlib import Path

import pytest
import yaml

from flows.prefect_file import read_prefect_file
from tasks.errors import BadInput

GOOD = """
definitions:
  work_pools:
    here: {type: process, queues: {urgent: 1, default: 2}}
deployments:
  - name: scrub
    description: Look.
    entrypoint: flows.workflow.verify_flow
    parameters: {out: /data/C.zarr}
    work_pool: {name: here, work_queue_name: urgent}
    schedules:
      - {slug: daily, cron: "0 3 * * *", timezone: UTC}
      - {slug: closely, interval: 60, timezone: Europe/Berlin, active: false, parameters: {ask: {full: true}}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "prefect.yaml"
    path.write_text(text)
    return path


def test_a_file_is_read_as_values(tmp_path: Path) -> None:
    file = read_prefect_file(written(tmp_path, GOOD))
    (deployment,) = file.deployments
    assert file.definitions.work_pools["here"].queues == {"urgent": 1, "default": 2}
    assert deployment.parameter_sets() == {"daily": {"out": "/data/C.zarr"}, "closely": {"out": "/data/C.zarr", "ask": {"full": True}}}
    assert [timing.active for timing in deployment.schedules] == [True, False]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("type: process", "type: ecs", "definitions.work_pools.here.type: Input should be 'process', 'docker' or 'kubernetes', not 'ecs'"),
        ("name: here, ", "name: there, ", "scrub: work pool 'there' is not one of definitions.work_pools (here)"),
        ("work_queue_name: urgent", "work_queue_name: later", "scrub: work pool here has no queue 'later' (default, urgent)"),
        ("timezone: UTC", "timezone: Berlin", "scrub.schedules.0.timezone: timezone 'Berlin' is unknown"),
        ("interval: 60, ", "", "schedule closely: give one of cron, interval and rrule, not none"),
        ("interval: 60, ", 'interval: 60, cron: "* * * * *", ', "not cron and interval"),
        ('cron: "0 3 * * *"', 'cron: "0 3 * * *", anchor_date: "2026-01-01"', "anchor_date goes with interval only"),
        ("slug: daily", "slug: At Night", "scrub.schedules.0.slug"),
        ("slug: daily", "slug: closely", "scrub.schedules: 2 schedules have the slug closely: give each its own"),
        ("interval: 60", "interval: .inf", "scrub.schedules.1.interval"),
        ("interval: 60", "interval: 0.001", "scrub.schedules.1.interval"),
        ("deployments:\n", "deployments:\n  - scrub\n", "deployment 1: Input should be"),
        (
            "deployments:\n",
            "deployments:\n  - {name: scrub, description: d, entrypoint: flows.workflow.verify_flow, work_pool: {name: here}}\n",
            "scrub: another deployment of flows.workflow.verify_flow has the same name",
        ),
        ("timezone: UTC", "timezone: UTC, timezone: UTC", "timezone is given twice"),
        ("flows.workflow.verify_flow", "flows/workflow.py:verify_flow", "scrub.entrypoint"),
        (
            "    description: Look.\n",
            "    triggers: []\n    description: Look.\n",
            "scrub.triggers: gemmflow deploy does not read this field",
        ),
        ("\ndefinitions:", "\npull: [step]\ndefinitions:", "pull"),
        ("urgent: 1", "urgent: 0", "queues.urgent"),
        (GOOD, "", "Input should be"),
        (GOOD, "a: [", "is no YAML"),
        (GOOD, "deployments: 3", "definitions"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(tmp_path: Path, before: str, after: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_prefect_file(written(tmp_path, GOOD.replace(before, after, 1)))
    message = str(refused.value)
    assert says in message and "\n" not in message and str(tmp_path) in message


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.yaml cannot be read \(No such file or directory\): name another file with --file"):
        read_prefect_file(tmp_path / "none.yaml")


def test_prefect_itself_reads_what_is_read_here(tmp_path: Path) -> None:
    """Prefect leaves out, without a word, what it cannot validate."""
    from prefect.cli.deploy._models import PrefectYamlModel

    assert len(PrefectYamlModel.model_validate(yaml.safe_load(GOOD)).deployments) == 1
