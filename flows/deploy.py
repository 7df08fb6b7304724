"""Register what `deployments/prefect.yaml` describes on a Prefect server: work pools and queues where they are missing, then deployments.

Everything is checked before the server is asked for anything that stays, and doing it again changes nothing:

    read the file -> load the flows, check schedules and parameters -> a server answers -> pools, queues -> deployments

A pool or a queue that is there is left as it is: its limits and priorities belong to whoever runs the server.
"""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flows.engine import import_prefect, prefect_settings
from flows.prefect_file import Deployment, Fields, Limit, Pool, PrefectFile, Timing, read_prefect_file
from flows.serve import answering_api
from flows.server import shown
from tasks.errors import BadInput, GemmflowError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import ConcurrencyLimitConfig
    from prefect.schedules import Schedule

    AnyFlow = Flow[..., object]

PREFECT_FILE = Path(__file__).resolve().parents[1] / "deployments" / "prefect.yaml"
"""Of the folder that this code lies in; an installed package has none."""


@dataclass(frozen=True)
class Registered:
    """A deployment as the server has it now."""

    name: str
    """Flow and deployment, as `prefect deployment run` takes it."""
    pool: str
    queue: str
    schedules: tuple[str, ...]
    """Slugs; those that are switched off in brackets."""

    @property
    def row(self) -> list[str]:
        """Cells for people."""
        return [self.name, self.pool, self.queue, ", ".join(self.schedules) or "none"]


@dataclass(frozen=True)
class Registry:
    """What one call has done."""

    api: str
    made: tuple[str, ...]
    """Pools and queues that were missing."""
    removed: tuple[str, ...]
    """Schedules that the file has no more."""
    deployments: tuple[Registered, ...]


def deploy(path: Path = PREFECT_FILE) -> Registry:
    """Register every deployment of a file on the server of PREFECT_API_URL, or of this host.

    Raises BadInput (the file is wrong, no server answers, a pool has another type) and GemmflowError where the server refuses.
    """
    file = read_prefect_file(path)
    import_prefect()
    import httpx  # noqa: PLC0415 - comes with Prefect

    loaded = [(deployment, load_flow(deployment)) for deployment in file.deployments]
    api = answering_api()
    from prefect.deployments.runner import DeploymentApplyError  # noqa: PLC0415

    server = f"the Prefect server at {shown(api)}"
    with prefect_settings(PREFECT_API_URL=api):
        try:
            return asyncio.run(_register(api, file, loaded))
        except DeploymentApplyError as error:
            raise GemmflowError(f"{server} refuses: {_short(str(error))}") from error
        except httpx.HTTPStatusError as error:
            raise GemmflowError(f"{server} refuses: {_why(error.response.status_code, error.response.text)}") from error
        except httpx.RequestError as error:
            raise GemmflowError(f"{server} does not answer any more ({type(error).__name__}): run it again") from error


def load_flow(deployment: Deployment) -> "AnyFlow":
    """The flow of a deployment, its parameters, its schedules and their parameters checked. Raises BadInput."""
    module, _, name = deployment.entrypoint.rpartition(".")
    try:
        flow = cast("AnyFlow", getattr(import_module(module), name))
    except (ImportError, AttributeError):
        raise BadInput(f"{deployment.name}: there is no {deployment.entrypoint}: name the module and the function of a flow") from None
    if not hasattr(flow, "to_deployment"):
        raise BadInput(f"{deployment.name}: {deployment.entrypoint} is no Prefect flow")
    check_parameters(flow.fn, deployment.parameters, deployment.name, some=True)
    for timing, (slug, parameters) in zip(deployment.schedules, deployment.parameter_sets().items(), strict=True):
        where = f"{deployment.name}, schedule {slug}"
        check_parameters(flow.fn, parameters, where)
        check_schedule(timing, where)
    return flow


def check_schedule(timing: Timing, where: str) -> None:
    """Raise BadInput where Prefect cannot tell from a schedule when to run."""
    try:
        _schedule(timing)
    except ValueError as error:
        raise BadInput(f"{where}: {_short(str(error))}") from None


def check_parameters(function: Callable[..., object], given: Fields, where: str, *, some: bool = False) -> None:
    """Raise BadInput where a flow's function cannot be called with these parameters, or with `some` of those that it will get."""
    from pydantic import BaseModel, TypeAdapter, ValidationError  # noqa: PLC0415

    from tasks.complaints import Kind, explain  # noqa: PLC0415

    signature = inspect.signature(function)
    try:
        (signature.bind_partial if some else signature.bind)(**given)
    except TypeError as error:
        raise BadInput(f"{where}: {error}") from None
    for name, value in given.items():
        kind = signature.parameters[name].annotation
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            known = Kind.of(kind) if inspect.isclass(kind) and issubclass(kind, BaseModel) else Kind(name, ())
            raise BadInput(f"{where}: {explain(error, known)}") from None


async def _register(api: str, file: PrefectFile, loaded: "list[tuple[Deployment, AnyFlow]]") -> Registry:
    from prefect import get_client  # noqa: PLC0415

    made, removed, registered = list[str](), list[str](), list[Registered]()
    async with get_client() as client:
        for name, pool in file.definitions.work_pools.items():
            made += await _make_pool(client, name, pool)
            made += await _make_queues(client, name, pool)
        for deployment, flow in loaded:
            known, entry = await _apply(deployment, flow)
            registered.append(entry)
            removed += await _remove_schedules(client, known, deployment, entry.name)
    return Registry(api, tuple(made), tuple(removed), tuple(registered))


async def _make_pool(client: "PrefectClient", name: str, pool: Pool) -> list[str]:
    from prefect.client.schemas.actions import WorkPoolCreate  # noqa: PLC0415
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415
    from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type as template_of  # noqa: PLC0415

    try:
        found = await client.read_work_pool(name)
    except ObjectNotFound:
        template = await template_of(pool.type)
        if template is None:
            raise GemmflowError(f"the Prefect server knows no work pools of type {pool.type}: pip install prefect-{pool.type}") from None
        await client.create_work_pool(WorkPoolCreate(name=name, type=pool.type, base_job_template=template))
        return [f"work pool {name} ({pool.type})"]
    if found.type != pool.type:
        raise BadInput(f"work pool {name} has type {found.type} on the server and {pool.type} in the file: rename it in the file")
    return []


async def _make_queues(client: "PrefectClient", name: str, pool: Pool) -> list[str]:
    """A new pool has a queue `default` of priority 1, which is moved to where the file wants it while nobody can have touched it."""
    known = {queue.name: queue for queue in await client.read_work_queues(work_pool_name=name)}
    fresh = set(known) == {"default"}
    made: list[str] = []
    for queue, priority in sorted(pool.queues.items(), key=lambda item: item[1]):
        if queue not in known:
            await client.create_work_queue(queue, work_pool_name=name, priority=priority)
            made.append(f"work queue {queue} of {name} (priority {priority})")
        elif fresh and known[queue].priority != priority:
            await client.update_work_queue(known[queue].id, priority=priority)
    return made


async def _remove_schedules(client: "PrefectClient", known: "UUID", deployment: Deployment, name: str) -> list[str]:
    """What an earlier file had and this one has not would go on firing. (Prefect itself replaces those without a slug.)"""
    slugs = {timing.slug for timing in deployment.schedules}
    old = [schedule for schedule in await client.read_deployment_schedules(known) if schedule.slug not in slugs]
    for schedule in old:
        await client.delete_deployment_schedule(known, schedule.id)
    return [f"schedule {schedule.slug} of {name}" for schedule in old]


async def _apply(deployment: Deployment, flow: "AnyFlow") -> "tuple[UUID, Registered]":
    from prefect.types.entrypoint import EntrypointType  # noqa: PLC0415

    use = deployment.work_pool
    runner = await flow.ato_deployment(
        name=deployment.name,
        description=deployment.description,
        version=metadata.version("gemmflow"),
        tags=list(deployment.tags),
        parameters=deployment.parameters,
        schedules=[_schedule(timing) for timing in deployment.schedules],
        concurrency_limit=_limit(deployment.concurrency_limit),
        work_pool_name=use.name,
        work_queue_name=use.work_queue_name,
        job_variables=use.job_variables,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    known = await runner.aapply()
    slugs = tuple(timing.slug if timing.active else f"({timing.slug})" for timing in deployment.schedules)
    return known, Registered(runner.full_name, use.name, use.work_queue_name, slugs)


def _schedule(timing: Timing) -> "Schedule":
    from prefect.schedules import Schedule  # noqa: PLC0415

    fields = timing.model_dump(exclude_none=True)
    if timing.interval is not None:
        fields["interval"] = timedelta(seconds=timing.interval)
    return Schedule(**fields)


def _limit(limit: int | Limit | None) -> "int | ConcurrencyLimitConfig | None":
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy  # noqa: PLC0415

    if not isinstance(limit, Limit):
        return limit
    return ConcurrencyLimitConfig(limit=limit.limit, collision_strategy=ConcurrencyLimitStrategy(limit.collision_strategy))


def _why(code: int, text: str) -> str:
    if code in (401, 403):
        return f"HTTP {code}, set PREFECT_API_AUTH_STRING to what the server was started with"
    return f"HTTP {code}, {_short(text)}"


def _short(text: str) -> str:
    return " ".join(text.split())[:200]
