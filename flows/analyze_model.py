"""`gemmflow analyze --model`: a transformer's job."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from flows.analyze_choice import Change, Question, pose, variations
from flows.analyze_matrix import refuse_others
from flows.analyze_question import Subject, Wanted
from storage import expanded
from tasks.choice.answer import Answer
from tasks.choice.model_answer import model_answer
from tasks.choice.model_job import ModelJob
from tasks.choice.weights_answer import weights_answer
from tasks.choice.weights_job import WeightsJob
from tasks.errors import BadInput
from tasks.models import Workload, precision_named, read_config, read_weights
from tasks.models.held import held
from tasks.units import parse_count

if TYPE_CHECKING:
    from tasks.catalogue import Device

USUAL_SEQUENCE = 4096
"""Tokens of a sequence where neither the caller nor a config.json says."""

ALLOWED = ("precision",)
"""Options of a job that say something about a model."""


def analyze_model(subject: Subject, options: Mapping[str, object], wanted: Wanted, here: "Device | None", today: date) -> Answer:
    """The answer about this model; raises BadInput."""
    refuse_others(options, ALLOWED, "a model: leave it out")
    path = expanded(str(subject.model))
    precision = str(options.get("precision", "auto"))
    asked = None if precision == "auto" else precision
    if _holds_weights_alone(path):
        of_weights = pose(_weights_job(path, subject, asked), wanted, here)
        return weights_answer(of_weights.demand, of_weights.ranking(), today, variations(of_weights, wanted.vary, OF_WEIGHTS))
    config = read_config(path)
    question = pose(ModelJob(config, _workload(subject, config.usual_sequence), asked, _name(path)), wanted, here)
    return model_answer(question.demand, question.ranking(), today, variations(question, wanted.vary, AXES))


def _holds_weights_alone(path: Path) -> bool:
    """Whether there are headers of weights and no config.json."""
    if path.is_dir():
        return not (path / "config.json").exists() and any(path.glob("*.safetensors"))
    return path.suffix == ".safetensors" or path.name.endswith(".safetensors.index.json")


def _weights_job(path: Path, subject: Subject, precision: str | None) -> WeightsJob:
    workload = _workload(subject, USUAL_SEQUENCE)
    weights = read_weights(path)
    return WeightsJob(weights, held(weights, with_head=subject.mode != "embed"), workload, precision, path.absolute().name)


def _workload(subject: Subject, usual_sequence: int) -> Workload:
    if subject.tokens is None:
        raise BadInput("--model needs --tokens: how many tokens the whole job has, for example --tokens 1e9")
    if subject.recompute != "none" and subject.mode != "train":
        raise BadInput(f"--recompute {subject.recompute} is for --mode train: leave it out in {subject.mode}")
    return Workload(subject.tokens, subject.batch, subject.sequence or usual_sequence, subject.mode, subject.recompute)


def _name(path: Path) -> str:
    return path.absolute().parent.name if path.name == "config.json" else path.stem if path.suffix == ".json" else path.absolute().name


J = TypeVar("J", ModelJob, WeightsJob)


def _load(field: str) -> Callable[[Question[J], str], Question[J]]:
    def change(question: Question[J], value: str) -> Question[J]:
        job = question.demand
        return replace(question, demand=replace(job, workload=replace(job.workload, **{field: cast("int", parse_count(value))})))

    return change


def _precision(question: Question[J], value: str) -> Question[J]:
    if value != "auto":
        precision_named(value)
    return replace(question, demand=replace(question.demand, precision=None if value == "auto" else value))


AXES: Mapping[str, Change[ModelJob]] = {
    "tokens": _load("tokens"),
    "batch": _load("batch"),
    "sequence": _load("sequence"),
    "precision": _precision,
}
"""What can be varied of a model's job."""

OF_WEIGHTS: Mapping[str, Change[WeightsJob]] = {
    "tokens": _load("tokens"),
    "batch": _load("batch"),
    "sequence": _load("sequence"),
    "precision": _precision,
}
"""The same of weights alone."""
