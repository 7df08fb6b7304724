"""A contract over every deployment of prefect.yaml."""

import json
import re
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from flows.deploy import PREFECT_FILE, load_flow
from flows.prefect_file import Deployment, Timing, read_prefect_file

FILE = read_prefect_file(PREFECT_FILE)
POOLS = FILE.definitions.work_pools
README = (PREFECT_FILE.parent / "README.md").read_text()
SCHEDULES = [(deployment, timing) for deployment in FILE.deployments for timing in deployment.schedules]

each = pytest.mark.parametrize("deployment", FILE.deployments, ids=lambda deployment: deployment.name)
each_schedule = pytest.mark.parametrize(("deployment", "timing"), SCHEDULES, ids=[f"{one.name}-{timing.slug}" for one, timing in SCHEDULES])


def base_template(pool_type: str) -> dict:
    """What Prefect knows of a type of work pool."""
    origin = find_spec("prefect.server.api.collections").origin
    views = json.loads((Path(origin).parent / "collections_data/views/aggregate-worker-metadata.json").read_text())
    (found,) = (worker for collection in views.values() for worker in collection.values() if worker["type"] == pool_type)
    return found["default_base_job_configuration"]["variables"]["properties"]


@each
def test_the_entrypoint_is_a_flow_and_its_parameters_are_right(deployment: Deployment) -> None:
    assert load_flow(deployment).name == deployment.name.partition("-")[0]


@each
def test_every_field_of_its_form_has_a_description(deployment: Deployment) -> None:
    from prefect.utilities.callables import parameter_schema

    schema = parameter_schema(load_flow(deployment)).model_dump()
    fields = [field for definition in schema["definitions"].values() for field in definition["properties"].values()]
    plain = [field for field in schema["properties"].values() if "$ref" not in field]
    assert fields or plain
    assert all(field.get("description") for field in (*fields, *plain))


@each
def test_it_keeps_what_a_machine_can_bear(deployment: Deployment) -> None:
    assert getattr(deployment.concurrency_limit, "limit", deployment.concurrency_limit) == 1
    assert deployment.work_pool.job_variables["env"] == {"PYTHONSAFEPATH": "1"}


@each
def test_its_job_variables_are_known_to_its_pool(deployment: Deployment) -> None:
    known = base_template(POOLS[deployment.work_pool.name].type)
    assert set(deployment.work_pool.job_variables) <= set(known)


@each_schedule
def test_a_schedule_waits_for_paths_and_fires(deployment: Deployment, timing: Timing) -> None:
    import asyncio

    from prefect.client.schemas.schedules import construct_schedule
    from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

    assert timing.active is False
    kind = {"cron": CronSchedule, "interval": IntervalSchedule, "rrule": RRuleSchedule}
    (name,) = (name for name in kind if getattr(timing, name) is not None)
    client = construct_schedule(
        cron=timing.cron,
        interval=None if timing.interval is None else timedelta(seconds=timing.interval),
        rrule=timing.rrule,
        timezone=timing.timezone,
        anchor_date=timing.anchor_date,
    )
    dates = asyncio.run(kind[name](**client.model_dump()).get_dates(3, start=datetime(2026, 11, 26, tzinfo=UTC)))
    assert len(dates) == 3 and len({date.hour for date in dates}) == 1
    assert all(date.weekday() == 6 for date in dates) or deployment.name not in ("verify-pool", "calibrate-pool")


def test_there_are_schedules_of_all_three_kinds() -> None:
    assert {name for _, timing in SCHEDULES for name in ("cron", "interval", "rrule") if getattr(timing, name) is not None} == {
        "cron",
        "interval",
        "rrule",
    }


def test_every_job_has_a_deployment() -> None:
    names = [deployment.name for deployment in FILE.deployments]
    assert {name.partition("-")[0] for name in names} == {"multiply", "batch", "analyze", "verify", "repair", "calibrate", "clean"}
    assert len(names) == len(set(names))
    assert {POOLS[deployment.work_pool.name].type for deployment in FILE.deployments} == {"process", "docker", "kubernetes"}


def test_the_documented_commands_make_the_same_pools_and_queues() -> None:
    """For who uses Prefect's own `prefect deploy`."""
    pools = dict(re.findall(r"prefect work-pool create (\S+) --type (\S+)", README))
    assert pools == {name: pool.type for name, pool in POOLS.items()}
    queues = re.findall(r"prefect work-queue create (\S+) --pool (\S+) --priority (\d+)", README)
    assert {(pool, queue, int(priority)) for queue, pool, priority in queues} == {
        (name, queue, priority) for name, pool in POOLS.items() for queue, priority in pool.queues.items() if queue != "default"
    }
    assert all("default" in pool.queues for pool in POOLS.values())


def test_prefects_own_command_reads_every_entry() -> None:
    """It leaves out, without a word, what it cannot validate; and without an empty `pull` runs change into the folder of who deployed."""
    from prefect.cli.deploy._models import PrefectYamlModel

    content = yaml.safe_load(PREFECT_FILE.read_text())
    assert [entry.name for entry in PrefectYamlModel.model_validate(content).deployments] == [entry.name for entry in FILE.deployments]
    assert content["pull"] == []
