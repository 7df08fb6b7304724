"""Tools called by a client of the protocol, in this process: schemas, refusals, hostile arguments."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from flows.agent import kept
from flows.agent import tools as module
from flows.agent.runs import Run
from flows.agent.server import ANNOTATIONS
from flows.agent.tools import Tools
from tasks.job import Job
from tests.flows.agent.agents import Agent, a_plan, answer_here, ask, make_tools

JOB = {"a": "A.zarr", "b": "B.zarr", "out": "C.zarr"}


READING = {"analyze", "analyze_shape", "analyze_model", "status", "preview", "list_devices"}

SHAPE = {"m": 1000, "k": 1000, "n": 1000}

MODEL = {"config": "config.json", "tokens": 1000}


LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
}
"""Llama 3 8B: 8,030,261,248 parameters."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Handles of runs that would have been started."""
    handles: list[str] = []
    monkeypatch.setattr(module, "start", lambda run: handles.append(run.handle))
    return handles


def test_the_list_of_tools_is_always_the_same(tools: Tools, root: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    async def talk(agent: Agent) -> None:
        seen.append((await agent.client.list_tools(cache_mode="bypass")).model_dump_json())

    for _ in range(2):
        ask(tools, talk)
    assert seen[0] == seen[1]
    assert [tool["name"] for tool in json.loads(seen[0])["tools"]] == list(ANNOTATIONS)


def test_every_tool_says_what_it_takes_returns_and_does(tools: Tools) -> None:
    async def talk(agent: Agent) -> None:
        listed = await agent.client.list_tools()
        assert listed.ttl_ms == 3_600_000
        for tool in listed.tools:
            Draft202012Validator.check_schema(tool.input_schema)
            Draft202012Validator.check_schema(tool.output_schema)
            assert tool.description and tool.input_schema["additionalProperties"] is False
            assert all(said.get("description") for said in tool.input_schema["properties"].values()), tool.name
            assert tool.annotations is not None
        hints = {tool.name: tool.annotations for tool in listed.tools}
        assert {name for name, hint in hints.items() if hint and hint.read_only_hint} == READING
        assert hints["submit"] and hints["submit"].idempotent_hint and not hints["submit"].destructive_hint
        assert hints["cancel"] and hints["cancel"].destructive_hint
        (analyze,) = (tool for tool in listed.tools if tool.name == "analyze")
        assert list(analyze.input_schema["properties"]["job"]["properties"]) == [name for name in Job.model_fields if name != "plan"]

    ask(tools, talk)


HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("nonsense", {}, "unknown_tool"),
    ("analyze", {}, "bad_arguments"),
    ("analyze", {"job": JOB, "root": "/"}, "bad_arguments"),
    ("analyze", {"job": "A.zarr"}, "bad_arguments"),
    ("analyze", {"job": []}, "bad_arguments"),
    ("analyze", {"job": JOB, "wait_seconds": 26}, "bad_arguments"),
    ("analyze", {"job": JOB, "wait_seconds": -1}, "bad_arguments"),
    ("analyze", {"job": JOB, "usd_per_hour": 0}, "bad_arguments"),
    ("analyze", {"job": {}}, "bad_input"),
    ("analyze", {"job": JOB | {"a": "../A.zarr"}}, "outside_roots"),
    ("analyze", {"job": JOB | {"a": "/etc/passwd"}}, "outside_roots"),
    ("analyze", {"job": JOB | {"out": "/tmp/C.zarr"}}, "outside_roots"),
    ("analyze", {"job": JOB | {"out": "s3://bucket/C"}}, "outside_roots"),
    ("analyze", {"job": JOB | {"a": "file:///etc/passwd"}}, "bad_input"),
    ("analyze", {"job": JOB | {"a": {"$ref": "x"}}}, "bad_input"),
    ("analyze", {"job": JOB | {"cluster": "tcp://10.0.0.1:8786"}}, "not_allowed"),
    ("analyze", {"job": JOB | {"cluster": "x.yaml"}}, "not_allowed"),
    ("analyze", {"job": JOB | {"overwrite": True}}, "not_allowed"),
    ("analyze", {"job": JOB | {"memory": -1}}, "bad_input"),
    ("analyze", {"job": JOB | {"workers": 10**9}}, "bad_input"),
    ("analyze", {"job": JOB | {"max_error": "nan"}}, "bad_input"),
    ("analyze", {"job": JOB | {"seal": "../../key"}}, "bad_input"),
    ("analyze", {"job": JOB | {"plan": "/etc/passwd"}}, "not_allowed"),
    ("analyze", {"job": JOB | {"plan": "P.json"}}, "not_allowed"),
    ("analyze_shape", {}, "bad_arguments"),
    ("analyze_shape", SHAPE | {"m": 0}, "bad_arguments"),
    ("analyze_shape", SHAPE | {"m": 10**18}, "bad_arguments"),
    ("analyze_shape", SHAPE | {"m": 1.5}, "bad_arguments"),
    ("analyze_shape", SHAPE | {"max_error": 0}, "bad_arguments"),
    ("analyze_shape", SHAPE | {"catalogue": "/etc/passwd"}, "bad_arguments"),
    ("analyze_shape", SHAPE | {"devices": []}, "bad_arguments"),
    ("analyze_shape", SHAPE | {"by": "colour"}, "bad_arguments"),
    ("analyze_shape", SHAPE | {"usd_per_hour": 1e4}, "bad_arguments"),
    ("analyze_shape", SHAPE | {"vary": ["n=1"] * 4}, "bad_arguments"),
    ("analyze_shape", SHAPE | {"vary": ["n=" + "1,2" * 60]}, "bad_input"),
    ("analyze_shape", SHAPE | {"dtype": "float63"}, "bad_input"),
    ("analyze_shape", SHAPE | {"precision": "float63"}, "bad_input"),
    ("analyze_shape", SHAPE | {"keep": "top"}, "bad_input"),
    ("analyze_shape", SHAPE | {"n": 10, "symmetric": True}, "bad_input"),
    ("analyze_shape", SHAPE | {"devices": ["H1000"]}, "bad_input"),
    ("analyze_model", {"tokens": 1000}, "bad_arguments"),
    ("analyze_model", MODEL | {"tokens": 0}, "bad_arguments"),
    ("analyze_model", MODEL | {"tokens": 10**25}, "bad_arguments"),
    ("analyze_model", MODEL | {"mode": "dream"}, "bad_arguments"),
    ("analyze_model", MODEL | {"config": ""}, "bad_arguments"),
    ("analyze_model", MODEL, "bad_input"),
    ("analyze_model", MODEL | {"config": "../config.json"}, "outside_roots"),
    ("analyze_model", MODEL | {"config": "/etc/passwd"}, "outside_roots"),
    ("analyze_model", MODEL | {"config": "s3://bucket/config.json"}, "outside_roots"),
    ("submit", {"plan_id": "plan-" + "0" * 32, "idempotency_key": "k", "max_seconds": 60}, "unknown_plan"),
    ("submit", {"plan_id": "../../etc/passwd", "idempotency_key": "k", "max_seconds": 60}, "unknown_plan"),
    ("submit", {"plan_id": "plan-" + "0" * 32, "idempotency_key": "k"}, "bad_arguments"),
    ("submit", {"plan_id": "plan-" + "0" * 32, "idempotency_key": "", "max_seconds": 60}, "bad_arguments"),
    ("submit", {"plan_id": "plan-" + "0" * 32, "idempotency_key": "k" * 201, "max_seconds": 60}, "bad_arguments"),
    ("submit", {"plan_id": "plan-" + "0" * 32, "idempotency_key": "k", "max_seconds": 1e12}, "bad_arguments"),
    ("submit", {"plan_id": "plan-" + "0" * 32, "idempotency_key": "k", "max_seconds": 0}, "bad_arguments"),
    ("submit", {"plan_id": 7, "idempotency_key": "k", "max_seconds": 60}, "bad_arguments"),
    ("status", {"handle": "run-" + "0" * 32}, "unknown_handle"),
    ("status", {"handle": "../plans"}, "unknown_handle"),
    ("status", {"handle": "run-" + "0" * 32, "wait_seconds": 1e9}, "bad_arguments"),
    ("preview", {"handle": "run-" + "0" * 32}, "unknown_handle"),
    ("preview", {"handle": "run-" + "0" * 32, "rows": 10**9}, "bad_arguments"),
    ("preview", {"handle": "run-" + "0" * 32, "kind": "matrix"}, "bad_arguments"),
    ("preview", {"handle": "run-" + "0" * 32, "row": -1}, "bad_arguments"),
    ("preview", {"handle": "run-" + "0" * 32, "path": "/etc/passwd"}, "bad_arguments"),
    ("cancel", {"handle": "/"}, "unknown_handle"),
    ("list_devices", {"x": 1}, "bad_arguments"),
    ("list_devices", {"name": "H1000"}, "unknown_device"),
    ("list_devices", {"name": "x" * 101}, "bad_arguments"),
]


@pytest.mark.parametrize(("tool", "arguments", "code"), HOSTILE)
def test_hostile_arguments_are_refused_with_code_cause_and_fix(
    tools: Tools, tool: str, arguments: dict[str, Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_here(monkeypatch)

    async def talk(agent: Agent) -> None:
        assert (await agent.fault(tool, **arguments))["code"] == code

    ask(tools, talk)
    assert not list(tools.store.runs.iterdir()) and not list(tools.store.plans.iterdir())


def test_a_submit_that_is_repeated_is_the_same_run(tools: Tools, root: Path, started: list[str]) -> None:
    plan_id, other = (kept.keep(tools.store, a_plan(tools.store, root)) for _ in range(2))

    async def talk(agent: Agent) -> None:
        first = await agent.call("submit", plan_id=plan_id, idempotency_key="k", max_seconds=60)
        again = await agent.call("submit", plan_id=plan_id, idempotency_key="k", max_seconds=60)
        assert first["handle"] == again["handle"] and first["limit_seconds"] == 60
        assert (await agent.fault("submit", plan_id=other, idempotency_key="k", max_seconds=60))["code"] == "key_reused"
        assert (await agent.fault("submit", plan_id=plan_id, idempotency_key="k", max_seconds=61))["code"] == "key_reused"
        assert (await agent.fault("preview", handle=first["handle"]))["code"] == "not_finished"
        assert (await agent.fault("submit", plan_id=plan_id, idempotency_key="l", max_seconds=5))["code"] == "over_limit"

    ask(tools, talk)
    assert len(list(tools.store.runs.iterdir())) == 1
    assert started and len(set(started)) == 1


def test_a_run_that_was_never_started_is_started_by_the_same_submit(tools: Tools, root: Path, started: list[str]) -> None:
    """As after a server that was killed between recording a run and starting it."""
    plan_id = kept.keep(tools.store, a_plan(tools.store, root))

    async def talk(agent: Agent) -> None:
        handle = (await agent.call("submit", plan_id=plan_id, idempotency_key="k", max_seconds=60))["handle"]
        assert (await agent.call("status", handle=handle))["state"] == "interrupted"
        await agent.call("submit", plan_id=plan_id, idempotency_key="k", max_seconds=60)
        assert started == [handle, handle]
        assert (await agent.call("cancel", handle=handle))["state"] == "cancelled"
        assert (await agent.call("submit", plan_id=plan_id, idempotency_key="k", max_seconds=60))["state"] == "cancelled"
        assert started == [handle, handle]

    ask(tools, talk)


def test_there_may_be_so_many_runs_and_no_more(tools: Tools, root: Path, started: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_GOING_ON", 1)
    monkeypatch.setattr(Run, "is_alive", True)
    plan_id = kept.keep(tools.store, a_plan(tools.store, root))

    async def talk(agent: Agent) -> None:
        await agent.call("submit", plan_id=plan_id, idempotency_key="k", max_seconds=60)
        assert (await agent.fault("submit", plan_id=plan_id, idempotency_key="l", max_seconds=60))["code"] == "busy"
        await agent.call("submit", plan_id=plan_id, idempotency_key="k", max_seconds=60)

    ask(tools, talk)


def test_what_nobody_expected_is_an_error_without_a_traceback(
    tools: Tools, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(module, "devices", break_down)

    async def talk(agent: Agent) -> None:
        fault = await agent.fault("list_devices")
        assert fault["code"] == "internal" and fault["cause"] == "unexpected RuntimeError: odd"

    ask(tools, talk)
    shown = capsys.readouterr()
    assert shown.out == "" and "break_down" in shown.err


def test_a_shape_has_ranked_devices_and_no_plan(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_here(monkeypatch)

    async def talk(agent: Agent) -> None:
        answer = await agent.call("analyze_shape", m=1e5, k=4096, n=100_000, max_error=1e-3, by="time", storage_bytes_per_second=10**10)
        assert answer["needs"]["flops"] == 2 * 100_000 * 4096 * 100_000
        assert len(answer["options"]) == 10 and answer["options_left_out"] > 10 and answer["chosen"] == answer["options"][0]
        times = [option["seconds"] for option in answer["options"]]
        assert times == sorted(times)
        assert all(option["seconds_interval"][0] <= option["seconds"] for option in answer["options"])
        assert "plan_id" not in answer and "nothing of this can be submitted" in answer["next"]
        assert "--" not in json.dumps(answer).replace("the operator's --catalogue", "")
        one = await agent.call("analyze_shape", m=1000, k=1000, n=1000, devices=["h100 sxm", "T4"], deadline_seconds=1e-9)
        assert {option["device"] for option in one["options"]} >= {"T4"} and len(one["options"]) == 2 and one["chosen"] is None

    ask(tools, talk)
    assert not list(tools.store.plans.iterdir())


def test_a_model_has_needs_and_ranked_devices(tools: Tools, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_here(monkeypatch)
    folder = root / "a-llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))

    async def talk(agent: Agent) -> None:
        answer = await agent.call("analyze_model", config="a-llama", tokens=10**6, batch=8, mode="decode", budget_usd=1e6)
        assert answer["title"].startswith("a-llama, decode of")
        assert answer["needs"]["parameters"]["total"] == 8_030_261_248 and answer["chosen"]["usd"] > 0
        assert len(answer["options"]) == 10 and "plan_id" not in answer
        same = await agent.call("analyze_model", config="a-llama/config.json", tokens=10**6, batch=8, mode="decode", budget_usd=1e6)
        assert same == answer

    ask(tools, talk)


def test_what_the_operator_says_of_devices_counts(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_here(monkeypatch)
    own = tmp_path / "own.csv"
    own.write_text("name,usd_per_hour,provider,date\nT4,0.01,a neighbour,2026-11-01\n")
    tools = replace(make_tools(root, tmp_path / "state"), catalogue=str(own))

    async def talk(agent: Agent) -> None:
        (listed,) = (await agent.call("list_devices", name="T4"))["devices"]
        assert listed["price"]["usd_per_hour"] == 0.01 and listed["price"]["provider"] == "a neighbour"
        answer = await agent.call("analyze_shape", **SHAPE, devices=["T4"])
        assert answer["chosen"]["price"] == listed["price"]

    ask(tools, talk)
