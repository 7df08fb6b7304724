"""Proof that every worker runs this code and sees these files, before the first tile is sent.

The package names `tasks` and `storage` are generic: a worker could import somebody else's, or another version of ours. So
the first question uses the standard library alone, which every worker can answer; only a worker that has our modules is
asked to run one of them. Every question is bounded in time, because a worker that cannot unpickle a function may not answer.
"""

import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from storage import Matrix, Seal, open_matrix, read_token
from tasks.errors import ClusterMismatch, GemmflowError
from tasks.hearing import Audience
from tasks.in_time import in_time
from tasks.ladder import SATURATING
from tasks.remote import wrong_kernels

if TYPE_CHECKING:
    from tasks.cluster import Cluster
    from tasks.plan import Plan

P = ParamSpec("P")
R = TypeVar("R")

ANSWER_SECONDS = 30.0
"""How long the workers may take to answer one question together."""

LIBRARIES = ("torch", "numpy", "zarr", "numcodecs")
"""Libraries whose major and minor version decide bits or formats."""


def check_workers(cluster: "Cluster") -> None:
    """Raise ClusterMismatch, naming the worker, unless every worker has this Python, this code and these libraries.

    Processes that were started here are asked once; whoever starts others may exchange them between two runs.
    """
    if cluster.own and cluster.greeted.issuperset(cluster.workers):
        return
    _check_python(_ask(cluster, platform.python_version))
    for package in ("tasks", "storage", "tasks.handshake"):
        _check_module(package, _ask(cluster, importlib.util.find_spec, package))
    mine = describe_code()
    answers = _ask(cluster, describe_code)
    for address, theirs in answers.items():
        if isinstance(theirs, BaseException):
            raise ClusterMismatch(f"worker {address} imports another package named tasks ({_line(theirs)}): {_ADVICE}")
        _check_code(address, mine, theirs)
    cluster.greeted |= answers.keys()


def check_files(cluster: "Cluster", token_path: str | Path, token: str, matrices: Sequence[Matrix]) -> None:
    """Raise ClusterMismatch, naming the worker, unless every worker reads `token` in `token_path` and the same inputs."""
    expected = [(matrix.path, matrix.fingerprint) for matrix in matrices]
    for address, complaint in _ask(cluster, look_at_files, str(token_path), token, expected).items():
        if complaint is not None:
            text = _line(complaint) if isinstance(complaint, BaseException) else complaint
            raise ClusterMismatch(f"worker {address} {text}: every worker must see the inputs and OUT under the same paths")


def check_seal(cluster: "Cluster", seal: Seal) -> None:
    """Raise ClusterMismatch, naming worker and key, unless every worker opens what is sealed."""
    for address, complaint in _ask(cluster, try_seal, seal).items():
        if complaint is not None:
            raise ClusterMismatch(f"worker {address}: {_line(complaint) if isinstance(complaint, BaseException) else complaint}")


def check_kernels(cluster: "Cluster", plan: "Plan") -> None:
    """Raise ClusterMismatch, naming worker and arithmetic, unless what the plan multiplies integers with is right on every worker.

    The plan may come from a calibration, or an unfinished run, of another processor than this worker's.
    """
    keys = tuple((rung.arithmetic, plan.device, rung.kernel) for rung in plan.rungs if rung.arithmetic in SATURATING)
    if not keys:
        return
    for address, wrong in _ask(cluster, wrong_kernels, keys).items():
        if wrong:
            what = _line(wrong) if isinstance(wrong, BaseException) else f"multiplies wrongly in {', '.join(wrong)}"
            raise ClusterMismatch(f"worker {address} {what}: its processor has no VNNI or AMX, use --precision float64 or another worker")


def try_seal(seal: Seal) -> str | None:
    """Why this process cannot open a seal, or None; runs on workers, and only names travel."""
    try:
        seal.open()
    except GemmflowError as error:
        return str(error)
    return None


def describe_code() -> dict[str, str]:
    """Versions of this code and its libraries, and a hash of the source files; runs on workers."""
    versions = {name: _version(name) for name in ("gemmflow", *LIBRARIES)}
    return versions | {"source": source_hash(), "folder": str(_root())}


def look_at_files(token_path: str, token: str, expected: Sequence[tuple[str, str]]) -> str | None:
    """What is wrong with the files seen from here, or None; runs on workers. `expected` pairs paths with fingerprints."""
    try:
        if read_token(token_path) != token.encode():
            return f"reads another run's token in {token_path}"
    except (OSError, GemmflowError) as error:
        return f"cannot read {token_path} ({getattr(error, 'strerror', None) or error})"
    for path, fingerprint in expected:
        try:
            if open_matrix(path).fingerprint != fingerprint:
                return f"sees another matrix at {path}"
        except GemmflowError as error:
            return f"cannot open {path} ({error})"
    return None


def source_hash() -> str:
    """SHA-256 of the names and contents of all source files of tasks and storage."""
    digest = hashlib.sha256()
    for package in ("storage", "tasks"):
        for path in sorted((_root() / package).rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(_root()).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


_ADVICE = "install the same gemmflow there and start the worker again"


def _ask(cluster: "Cluster", function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> dict[str, R | BaseException]:
    """Each worker's answer or exception, by address; the function runs beside any task, so busy workers answer too."""
    try:
        return cluster.ask(lambda workers: Audience(cluster, workers, ANSWER_SECONDS).hear(function, *args, **kwargs))
    except TimeoutError:
        raise ClusterMismatch(f"worker {_silent_worker(cluster)} did not answer within {ANSWER_SECONDS:.0f} s: {_ADVICE}") from None


def _silent_worker(cluster: "Cluster") -> str:
    for address in cluster.workers:
        try:
            in_time(cluster.client.loop, lambda address=address: cluster.client.run(platform.node, workers=[address]), 1)
        except TimeoutError:
            return address
    return f"at {cluster.address}"


def _check_python(answers: dict[str, str | BaseException]) -> None:
    mine = platform.python_version()
    for address, theirs in answers.items():
        if isinstance(theirs, BaseException):
            raise ClusterMismatch(f"worker {address} does not answer: {_line(theirs)}")
        if _minor(theirs) != _minor(mine):
            raise ClusterMismatch(f"worker {address} runs Python {theirs}, this is {mine}: use the same minor version on both")


def _check_module(name: str, answers: dict[str, object]) -> None:
    for address, spec in answers.items():
        if spec is None or isinstance(spec, BaseException):
            raise ClusterMismatch(f"worker {address} has no module {name}: {_ADVICE}")


def _check_code(address: str, mine: dict[str, str], theirs: dict[str, str]) -> None:
    if theirs["gemmflow"] != mine["gemmflow"]:
        raise ClusterMismatch(f"worker {address} runs gemmflow {theirs['gemmflow']}, this is {mine['gemmflow']}: {_ADVICE}")
    for name in LIBRARIES:
        if _minor(theirs[name]) != _minor(mine[name]):
            raise ClusterMismatch(
                f"worker {address} has {name} {theirs[name]}, here it is {mine[name]}: use the same minor version on both"
            )
    if theirs["source"] != mine["source"]:
        raise ClusterMismatch(f"worker {address} runs other source files of the same version, from {theirs['folder']}: {_ADVICE}")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _root() -> Path:
    return Path(__file__).resolve().parents[1]
