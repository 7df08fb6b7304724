"""Small YAML files that describe clusters: which workers, how many, how long they may take to come.

    kind: local | cuda                          worker processes on this host, as without a file
    address: tcp://host:port                    a scheduler that runs already
    cluster_class: package.Class                whatever starts a scheduler and workers for Dask, such as dask_jobqueue.SLURMCluster
    cluster_kwargs: {...}                       what that class is called with
    workers: 8   or   adapt_kwargs: {minimum: 2, maximum: 20}
    wait: {workers: 4, seconds: 600}            begin with so many; give up after so long

A file is named by its path, or by its name without `.yaml` if it lies in one of the folders of `folders`.
"""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from storage import expanded
from tasks.complaints import Kind, explain_all
from tasks.errors import BadInput
from tasks.yaml_file import read_yaml

FOLDERS = "GEMMFLOW_CLUSTERS"
"""Environment variable: folders of cluster files, as PATH is written."""

SUFFIXES = (".yaml", ".yml")
BUILT_IN = ("local", "cuda")

_STRICT = ConfigDict(frozen=True, extra="forbid")


class Wait(BaseModel):
    """Until when a run waits for workers."""

    model_config = _STRICT

    workers: int = Field(default=1, ge=1, le=4096)
    """With how many it begins."""
    seconds: float = Field(default=300.0, gt=0, le=7 * 24 * 3600)
    """How long they may take to come."""


class Adapt(BaseModel):
    """Between how many workers Dask scales by itself."""

    model_config = ConfigDict(frozen=True, extra="allow")

    minimum: int = Field(ge=0)
    maximum: int = Field(ge=1)

    @model_validator(mode="after")
    def _is_a_range(self) -> "Adapt":
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self


class ClusterFile(BaseModel):
    """What one file says. Raises ValidationError where that is no cluster."""

    model_config = _STRICT

    kind: Literal["local", "cuda"] | None = None
    address: str | None = Field(default=None, pattern="://")
    cluster_class: str | None = Field(default=None, pattern=r"^\w+(\.\w+)+$")
    cluster_kwargs: dict[str, object] = Field(default_factory=dict)
    adapt_kwargs: Adapt | None = None
    workers: int | None = Field(default=None, ge=1, le=4096)
    """How many `cluster_class` starts; default: as many as its own arguments say."""
    wait: Wait = Wait()

    @model_validator(mode="after")
    def _is_one_cluster(self) -> "ClusterFile":
        given = [name for name in ("kind", "address", "cluster_class") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of kind, address and cluster_class, not {' and '.join(given) or 'none'}")
        extra = {"cluster_kwargs", "adapt_kwargs", "workers"} & self.model_fields_set
        if extra and self.cluster_class is None:
            raise ValueError(f"{' and '.join(sorted(extra))} goes with cluster_class only")
        if "wait" in self.model_fields_set and self.kind is not None:
            raise ValueError(f"wait goes with address and cluster_class only: workers of kind {self.kind} are counted by the plan")
        if self.workers is not None and self.adapt_kwargs is not None:
            raise ValueError("give workers or adapt_kwargs, not both")
        if self.wait.workers > self.most:
            raise ValueError(f"wait.workers is {self.wait.workers}, but only {self.most} will be there at first")
        return self

    @property
    def most(self) -> int:
        """How many workers there can be before any tile is sent."""
        if self.adapt_kwargs is not None:
            return max(1, self.adapt_kwargs.minimum)
        return self.workers or 4096


KIND = Kind("cluster file", [*ClusterFile.model_fields, *(f"wait.{name}" for name in Wait.model_fields)])


def is_file(cluster: str) -> bool:
    """Whether a cluster is named by a file, rather than by a built-in kind or an address."""
    return cluster not in BUILT_IN and "://" not in cluster


def find(cluster: str) -> Path:
    """The file of a cluster, by path or by name; raises BadInput where there is none, and says what there is."""
    path = expanded(cluster)
    if cluster.endswith(SUFFIXES) or os.sep in cluster:
        if not path.is_file():
            raise BadInput(f"cluster file {cluster} is missing: {_advice()}")
        return path
    for folder in folders():
        for suffix in SUFFIXES:
            if (path := expanded(folder / f"{cluster}{suffix}")).is_file():
                return path
    raise BadInput(f"cluster {cluster!r} is unknown{_nearest(cluster)}: {_advice()}")


def require_known(cluster: str) -> str:
    """The same, for validators: raises ValueError where it is named by a file that is missing."""
    if is_file(cluster):
        try:
            find(cluster)
        except BadInput as error:
            raise ValueError(str(error)) from None
    return cluster


def read(cluster: str) -> ClusterFile:
    """What the file of a cluster says. Raises BadInput, on one line, where it is missing, no YAML, or no cluster."""
    path = find(cluster)
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise BadInput(f"{path} is no cluster file: write for example `address: tcp://host:8786`")
    try:
        return ClusterFile.model_validate(content)
    except ValidationError as error:
        raise BadInput(f"{path}: {'; '.join(line for _, line in explain_all(error, KIND))}") from None


def folders() -> tuple[Path, ...]:
    """Where named cluster files are looked for, in this order."""
    told = [expanded(part) for part in os.environ.get(FOLDERS, "").split(os.pathsep) if part]
    return (*told, Path("~/.config/gemmflow/clusters").expanduser())


def _names() -> list[str]:
    return sorted({path.stem for folder in folders() if folder.is_dir() for path in folder.iterdir() if path.suffix in SUFFIXES})


def _nearest(cluster: str) -> str:
    close = get_close_matches(cluster, [*BUILT_IN, *_names()], n=1)
    return f", did you mean {close[0]}?" if close else ""


def _advice() -> str:
    named = "".join(f", {name}" for name in _names())
    return f"use {', '.join(BUILT_IN)}{named}, tcp://host:port or the path of a cluster file ({FOLDERS} names their folders)"
