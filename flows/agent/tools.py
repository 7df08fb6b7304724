"""The tools: what each does. Every answer is a value of `values`, every refusal an error with code, cause and fix."""

import time
from dataclasses import dataclass, field
from typing import cast

import anyio
from anyio.to_thread import run_sync
from mcp.server.mcpserver import Context

from flows.agent import kept as plans
from flows.agent import runs
from flows.agent.arguments import (
    WAIT_SECONDS,
    Arithmetic,
    Batch,
    Budget,
    By,
    Columns,
    Deadline,
    Depth,
    Dollars,
    Error,
    Filter,
    Handle,
    JobFields,
    Keep,
    Key,
    Lines,
    Look,
    Mode,
    Model,
    ModelPrecision,
    MostDevices,
    Named,
    PlanId,
    PlanWait,
    Price,
    Rows,
    Seconds,
    Sequence,
    Start,
    StatusWait,
    Storage,
    Symmetric,
    Tokens,
    Type,
    Vary,
)
from flows.agent.devices import devices
from flows.agent.faults import AgentError, Fault
from flows.agent.gate import Gate
from flows.agent.kept import Kept
from flows.agent.launch import start
from flows.agent.options import Advice
from flows.agent.planning import Desk
from flows.agent.preview import Window, preview
from flows.agent.report import root_of, state_of, status_of
from flows.agent.runs import Request, Run
from flows.agent.store import Document, Store
from flows.agent.values import GOING_ON, Analysis, Devices, Preview, Shown, Status
from tasks.choice.rank import MOST_DEVICES

CANCEL_SECONDS = 8.0
"""For which cancel waits for the run to end."""
LOOK_SECONDS = 0.2
MOST_GOING_ON = 64
"""Runs that go on or wait."""


@dataclass
class Tools:
    """The tools, over one store."""

    gate: Gate
    store: Store
    catalogue: str | None = None
    """File with devices and prices of the operator's own."""
    _desk: Desk = field(default_factory=Desk)
    _advice: Desk = field(default_factory=Desk)
    """Of its own, so that no question waits while a machine is measured for a plan."""

    async def analyze(self, context: Context, job: JobFields, usd_per_hour: Price = None, wait_seconds: PlanWait = 20.0) -> Analysis:
        """Plan a product OUT = A B of stored matrices: predicted time, cost, bytes, memory and error, with alternatives. Writes no result.

        Returns a plan_id for submit, which runs it on this machine; elsewhere says what other devices would take. The
        first call on a machine measures it: where state is planning, call again with the same arguments.
        """

        async def tell(waited: float) -> None:
            await context.report_progress(waited, None, "planning")

        question: Document = {"job": await run_sync(self.gate.judge, job), "usd_per_hour": usd_per_hour, "catalogue": self.catalogue}
        answer = await self._desk.ask(question, wait_seconds, tell)
        if answer is None:
            return Analysis(state="planning", plan_id=None, plan=None, next="call analyze again with the same arguments")
        planned = cast("Document", _found(answer, "planned"))
        plan_id = await run_sync(plans.keep, self.store, Kept.model_validate(planned["kept"]))
        shown = Shown.model_validate(planned["shown"])
        return Analysis(state="ready", plan_id=plan_id, plan=shown, next="call submit with this plan_id, or analyze a change")

    async def analyze_shape(
        self,
        m: Rows,
        k: Depth,
        n: Columns,
        dtype: Type = "float32",
        symmetric: Symmetric = False,
        keep: Keep = "all",
        max_error: Error = None,
        precision: Arithmetic = "auto",
        by: By = "cost",
        deadline_seconds: Deadline = None,
        budget_usd: Budget = None,
        devices: Named = None,
        most_devices: MostDevices = MOST_DEVICES,
        usd_per_hour: Price = None,
        storage_bytes_per_second: Storage = None,
        vary: Vary = None,
    ) -> Advice:
        """Which devices suit a product, m x k times k x n, of matrices that need not exist: time, cost, bottleneck and reasons, ranked.

        Nothing of it can be submitted, so there is no plan_id: for that, call analyze with a job on stored matrices.
        """
        subject: Document = {"shape": [m, k, n], "dtype": dtype, "symmetric": symmetric, "keep": keep}
        wanted = _wanted(by, deadline_seconds, budget_usd, devices, most_devices)
        wanted |= {"price_here": usd_per_hour, "storage": storage_bytes_per_second, "vary": vary}
        return await self._advise(subject, {"max_error": max_error, "precision": precision}, wanted)

    async def analyze_model(
        self,
        config: Model,
        tokens: Tokens,
        batch: Batch = 1,
        sequence: Sequence = None,
        mode: Mode = "prefill",
        precision: ModelPrecision = "auto",
        by: By = "cost",
        deadline_seconds: Deadline = None,
        budget_usd: Budget = None,
        devices: Named = None,
        most_devices: MostDevices = MOST_DEVICES,
        usd_per_hour: Price = None,
        storage_bytes_per_second: Storage = None,
        vary: Vary = None,
    ) -> Advice:
        """What a transformer's job needs (parameters, operations, products, bytes), and which devices suit it, ranked.

        Nothing of it can be submitted, so there is no plan_id.
        """
        place = await run_sync(self.gate.judge_model, config)
        subject: Document = {"model": place, "tokens": tokens, "batch": batch, "sequence": sequence, "mode": mode}
        wanted = _wanted(by, deadline_seconds, budget_usd, devices, most_devices)
        wanted |= {"price_here": usd_per_hour, "storage": storage_bytes_per_second, "vary": vary}
        return await self._advise(subject, {"precision": precision}, wanted)

    async def submit(self, plan_id: PlanId, idempotency_key: Key, max_seconds: Seconds, max_usd: Dollars = None) -> Status:
        """Run a plan that analyze showed, and no other: it is refused where inputs or machine changed. Returns its handle at
        once; the run goes on whatever becomes of this server.
        """
        return await run_sync(self._submit, plan_id, idempotency_key, max_seconds, max_usd)

    async def status(self, context: Context, handle: Handle, wait_seconds: StatusWait = 0.0) -> Status:
        """How a run is: its progress with an estimate, then its report, or one error."""
        run = runs.find(self.store, handle)
        deadline, told = time.monotonic() + wait_seconds, -1.0
        while (answer := await run_sync(status_of, run)).state in GOING_ON and time.monotonic() < deadline:
            share = answer.progress.share if answer.progress else 0.0
            if share > told:
                told = share
                await context.report_progress(share, 1.0, answer.state)
            await anyio.sleep(LOOK_SECONDS)
        return answer

    async def preview(
        self, handle: Handle, kind: Look = "block", row: Start = 0, col: Start = 0, rows: Lines = 8, cols: Lines = 8
    ) -> Preview:
        """Look at a part of a finished product: at most 4096 elements, never the matrix. Its place, out, is for programs that read Zarr."""
        return await run_sync(self._preview, handle, Window(kind, row, col, rows, cols))

    async def cancel(self, handle: Handle) -> Status:
        """End a run. Finished tiles are kept, and the answer says how to go on; a run that is over stays as it is."""
        run = runs.find(self.store, handle)
        if await run_sync(state_of, run) in (*GOING_ON, "interrupted"):
            await run_sync(run.stop, "cancelled")
        deadline = time.monotonic() + CANCEL_SECONDS
        while await run_sync(state_of, run) in GOING_ON and time.monotonic() < deadline:
            await anyio.sleep(LOOK_SECONDS)
        return await run_sync(status_of, run)

    async def list_devices(self, name: Filter = None) -> Devices:
        """This machine with its measured rates, which runs what is submitted, and other devices with peaks, memory and dated prices."""
        return Devices(devices=await run_sync(devices, name, self.catalogue))

    async def _advise(self, subject: Document, options: Document, wanted: Document) -> Advice:
        question: Document = {"subject": subject, "options": options, "wanted": {**wanted, "catalogue": self.catalogue}}
        answer = await self._advice.ask(question, WAIT_SECONDS, _say_nothing)
        if answer is None:
            raise AgentError("busy", f"no answer is ready after {WAIT_SECONDS:.0f} s", "call again with the same arguments")
        return Advice.model_validate(_found(answer, "advice"))

    def _submit(self, plan_id: str, key: str, max_seconds: float, max_usd: float | None) -> Status:
        known = Run(self.store.runs / runs.handle_of(key))
        there = known.folder.is_dir() and known.request.plan_id == plan_id
        kept = known.request.kept if there else plans.find(self.store, plan_id)
        self.gate.judge_kept(kept)
        request = Request(
            key=key,
            plan_id=plan_id,
            kept=kept,
            max_seconds=max_seconds,
            max_usd=max_usd,
            at_once=self.gate.at_once,
            submitted_at=time.time(),
        )
        if not there:
            self.gate.judge_limits(request)
            self._require_room()
        run = runs.submit(self.store, request)
        if state_of(run) == "interrupted":  # or not started yet
            start(run)
        return status_of(run)

    def _require_room(self) -> None:
        going_on = sum(run.is_alive for run in runs.all_runs(self.store))
        if going_on >= MOST_GOING_ON:
            raise AgentError("busy", f"{going_on} runs go on or wait, at most {MOST_GOING_ON} may", "wait for one, or cancel one")

    def _preview(self, handle: str, window: Window) -> Preview:
        run = runs.find(self.store, handle)
        state = state_of(run)
        if state != "finished":
            raise AgentError("not_finished", f"run {run.handle} is {state}", "call status until it is finished")
        return preview(run.handle, self.gate.roots.confine_input(run.request.kept.out), window, root_of(run))


def _wanted(by: str, deadline: float | None, budget: float | None, devices: list[str] | None, most: int) -> Document:
    """What matters in the choice, as `flows.analyze_question.Wanted` has it."""
    return {"by": by, "deadline": deadline, "budget": budget, "devices": devices, "most_devices": most}


def _found(answer: Document, part: str) -> object:
    """A part of what a process answered. Raises AgentError where it answered with a fault."""
    if "fault" in answer:
        raise AgentError(**Fault.model_validate(answer["fault"]).model_dump())
    return answer[part]


async def _say_nothing(waited: float) -> None:
    del waited
