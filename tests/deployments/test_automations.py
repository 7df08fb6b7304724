"""Each automation of automations.yaml is created by Prefect's own command and fires: its notification arrives at the test's web server."""

import json
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from prefect import flow, tags, task
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.futures import wait

from flows.batch_result import Result
from flows.deploy import PREFECT_FILE
from flows.engine import prefect_settings
from flows.events import PREFIX, failures, tell_of_job, telling
from flows.sending import Sender
from flows.server import Service, TemporaryServer
from flows.steps import STEPS, Step, Tell, drift
from flows.workflow import multiply_flow
from tasks.job import Job
from tests.flows.fakes import plan
from tests.flows.postgres import postgres, programs
from tests.flows.prefect_api import free_port, prefect, request
from tests.flows.processes import wait_until

FILE = PREFECT_FILE.with_name("automations.yaml")
AUTOMATIONS = {one["name"]: one for one in yaml.safe_load(FILE.read_text())["automations"]}
NOBODY = "00000000-0000-0000-0000-000000000000"

SHORT = 10
"""Seconds instead of a quarter of an hour; Prefect takes no less."""

ATTEMPTS = {"sqlite": 3, "postgresql": 1}
"""On how many servers a scene may be played, by the database."""

ON_BOTH = "test_each_of_them_fires_and_only_where_it_should"
"""Where there is PostgreSQL, one scene is enough for SQLite."""


def test_every_event_of_ours_that_is_awaited_exists() -> None:
    awaited = {event for one in AUTOMATIONS.values() for event in [*one["trigger"]["expect"], *one["trigger"].get("after", ())]}
    ours = {event.removeprefix(PREFIX) for event in awaited if event.startswith("gemmflow.")}
    assert ours == {"begun", "progress", "published", "drifted", "failed"}
    assert ours <= STEPS.keys()


class Mailbox:
    """A web server that keeps what it is told."""

    def __init__(self) -> None:
        self.received: list[str] = []
        mailbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                mailbox.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def about(self, words: str) -> list[str]:
        return [text for text in self.received if words in text]


@dataclass(frozen=True)
class Watched:
    """A server with our automations, and where its notifications arrive."""

    server: TemporaryServer
    mailbox: Mailbox
    folder: Path


@contextmanager
def watched(folder: Path) -> Generator[Watched]:
    folder.mkdir(parents=True)
    server, mailbox = TemporaryServer(folder, Service(port=free_port(), ui=True)), Mailbox()
    try:
        server.wait()
        with prefect_settings(PREFECT_API_URL=server.url, PREFECT_HOME=folder):
            create(server, mailbox, folder)
            yield Watched(server, mailbox, folder)
    finally:
        print(server.written()[-4000:])
        server.stop()
        mailbox.close()


@pytest.fixture(params=ATTEMPTS)
def attempts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """How often a scene may be played on the database that servers have from now on."""
    with ExitStack() as closing:
        if request.param == "postgresql":
            if programs() is None:
                pytest.skip("needs PostgreSQL")
            monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", closing.enter_context(postgres()))
        elif programs() is not None and request.function.__name__ != ON_BOTH:
            pytest.skip("is played on PostgreSQL")
        yield ATTEMPTS[request.param]


def on_some_server(folder: Path, scene: Callable[[Watched], None], attempts: int) -> None:
    """Play a scene; where it fails, once more on another server.

    Prefect's triggers read and then write in one transaction, which SQLite refuses when another one wrote in between ("database is
    locked"). Every scene has some of that in its server's log; after three tries Prefect drops the event, and the notification is lost
    or false. What our files or events do wrong, they do on every server, and on PostgreSQL, which has no such rule, at once.
    """
    for attempt in range(attempts):
        with watched(folder / str(attempt)) as stage:
            try:
                return scene(stage)
            except (AssertionError, ValueError):  # the second where there is more than one, or none, to unpack
                if attempt == attempts - 1:
                    raise
                traceback.print_exc()
    return None


def create(server: TemporaryServer, mailbox: Mailbox, folder: Path) -> None:
    """What the head of the file says."""
    block = CustomWebhookNotificationBlock(
        name="test", url=f"http://127.0.0.1:{mailbox.server.server_port}/", json_data={"text": "{{subject}}\n{{body}}"}
    )
    identity = str(block.save("alerts", overwrite=True))
    text = FILE.read_text()
    assert text.count(NOBODY) == 1 and text.count("within: 900") == 1
    copy = folder / "automations.yaml"
    copy.write_text(text.replace(NOBODY, identity).replace("within: 900", f"within: {SHORT}"))
    environment = {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(folder)}
    prefect(environment, "automation", "create", "--from-file", str(copy))
    made = {one["name"]: one["enabled"] for one in request(f"{server.url}/automations/filter", {})}
    assert made == dict.fromkeys(AUTOMATIONS, True)
    time.sleep(2)  # the server's triggers read what is new a moment later


@flow(flow_run_name="well", retries=0)
def well() -> None:
    with telling() as tell:
        tell(Step("begun", "C.zarr", {"tiles": 4}))
        for tiles in range(1, 4):
            time.sleep(SHORT * 0.6)
            tell(Step("progress", "C.zarr", {"tiles_done": tiles}))
        tell(Step("published", "C.zarr", {"error": 1e-6}))


@flow(flow_run_name="stuck", retries=0)
def stuck(mailbox: Mailbox) -> None:
    with telling() as tell:
        tell(Step("begun", "C.zarr", {"tiles": 4}))
    wait_until(lambda: mailbox.about("stuck is stuck"), 60)


@flow(flow_run_name="late", retries=0)
def late() -> None:
    with telling() as tell:
        tell(Step("drifted", "C.zarr", drift(plan().predicted, 1e6) or {}))


@flow(flow_run_name="nightly", retries=0)
def nightly(mailbox: Mailbox) -> None:
    """What a batch does: a task for each job. One drifts, one gets on, one is stuck though the other is not, one fails at once."""
    sender = Sender()

    def begin(name: str) -> Tell:
        tell = tell_of_job(name, sender)
        tell(Step("begun", f"{name}.zarr", {"tiles": 4}))
        time.sleep(3)  # the server does not keep the order of events of one moment
        return tell

    @task
    def slow() -> None:
        tell = begin("slow")
        tell(Step("published", "slow.zarr", {"error": 1e-6}))
        tell(Step("drifted", "slow.zarr", drift(plan().predicted, 1e6) or {}))

    @task
    def healthy() -> None:
        tell = begin("healthy")
        for tiles in range(1, 4):
            time.sleep(SHORT * 0.5)
            tell(Step("progress", "healthy.zarr", {"tiles_done": tiles}))
        tell(Step("failed", "healthy.zarr", {"exit_code": 1}))

    @task
    def hung() -> None:
        begin("hung")
        wait_until(lambda: mailbox.about("job hung of nightly is stuck"), 60)

    slow()
    failures(sender)(Result("broken", 2, 0.0, "/nowhere/A does not exist", out="broken.zarr"), 1)
    wait([healthy.submit(), hung.submit()])


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(500)
def test_they_fire_for_single_jobs_of_a_batch(tmp_path: Path, attempts: int) -> None:
    on_some_server(tmp_path / "server", batch_scene, attempts)


def batch_scene(stage: Watched) -> None:
    server, mailbox = stage.server, stage.mailbox
    with tags("gemmflow"):
        nightly(mailbox)
    wait_until(lambda: mailbox.about("took") and mailbox.about("failed"), 60)
    time.sleep(2)
    assert len(mailbox.received) == 3, "\n====\n".join(mailbox.received)
    (failed,), (drifted,), (stuck,) = mailbox.about("failed"), mailbox.about("took"), mailbox.about("is stuck")
    assert failed.startswith("gemmflow: job broken of nightly failed") and "/nowhere/A does not exist" in failed and "broken.zarr" in failed
    assert drifted.startswith("gemmflow: job slow of nightly took ") and "OUT: slow.zarr" in drifted
    assert stuck.startswith("gemmflow: job hung of nightly is stuck") and f"{server.page}/runs/flow-run/" in stuck


@flow(flow_run_name="cut short", retries=0)
def cut_short(end: str) -> None:
    """A batch whose only job ends without a step that says so, as one does that is cancelled."""
    sender = Sender()

    @task
    def job() -> None:
        tell_of_job(end, sender)(Step("begun", "C.zarr", {"tiles": 4}))
        time.sleep(3)  # the server does not keep the order of events of one moment
        if end == "interrupted":
            raise KeyboardInterrupt
        if end == "wrong":
            raise ValueError

    with suppress(KeyboardInterrupt, ValueError):
        job()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(500)
def test_a_job_that_ended_without_a_word_is_not_stuck(tmp_path: Path, attempts: int) -> None:
    on_some_server(tmp_path / "server", silent_scene, attempts)


def silent_scene(stage: Watched) -> None:
    for end in ("silent", "interrupted", "wrong"):
        cut_short(end)
    time.sleep(2 * SHORT + 2)
    assert stage.mailbox.received == []


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(500)
def test_each_of_them_fires_and_only_where_it_should(tmp_path: Path, attempts: int) -> None:
    on_some_server(tmp_path / "server", single_scene, attempts)


def single_scene(stage: Watched) -> None:
    server, mailbox = stage.server, stage.mailbox
    healthy = threading.Thread(target=copy_context().run, args=(well,))
    healthy.start()
    with tags("gemmflow"), pytest.raises(Exception, match="does not exist"):
        multiply_flow(Job(a="/nowhere/A", b="/nowhere/B", out=str(stage.folder / "C.zarr")))
    late()
    stuck(mailbox)
    healthy.join()
    wait_until(lambda: mailbox.about("took"), 60)
    wait_until(lambda: mailbox.about("Failed"), 60)
    (failed,), (drifted,), (hung,) = mailbox.about("Failed"), mailbox.about("took"), mailbox.about("stuck")
    assert failed.startswith("gemmflow: multiply Failed") and "/nowhere/A does not exist" in failed
    assert drifted.startswith("gemmflow: late took ") and "OUT: C.zarr" in drifted
    assert hung.startswith("gemmflow: stuck is stuck") and f"{server.page}/runs/flow-run/" in hung
