"""Cluster files: found by name or path, every mistake named on one line with what to change."""

from pathlib import Path

import pytest

from tasks import cluster_file as module
from tasks.cluster_file import FOLDERS, ClusterFile, find, is_file, read
from tasks.errors import BadInput
from tasks.job import make_job

SHIPPED = sorted((Path(module.__file__).resolve().parents[1] / "deployments/clusters").glob("*.yaml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDERS, f"{tmp_path / 'none'}:{tmp_path}")
    return tmp_path


def written(folder: Path, text: str, name: str = "mine.yaml") -> str:
    (folder / name).write_text(text)
    return name.partition(".")[0]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_file_that_is_shipped_is_a_cluster(path: Path) -> None:
    assert read(str(path)).wait.workers >= 1


def test_all_kinds_are_shipped() -> None:
    assert [path.stem for path in SHIPPED] == ["address", "cuda", "kubernetes", "local", "slurm", "ssh"]


def test_a_file_is_found_by_name_and_by_path(folder: Path) -> None:
    name = written(folder, "address: tcp://host:1\n")
    assert find(name) == find(str(folder / "mine.yaml")) == folder / "mine.yaml"
    assert read(name) == ClusterFile(address="tcp://host:1")
    written(folder, "kind: local\n", "short.yml")
    assert read("short").kind == "local"


@pytest.mark.parametrize(("cluster", "file"), [("local", False), ("cuda", False), ("tls://h:1", False), ("mine", True)])
def test_what_is_a_file(cluster: str, file: bool) -> None:
    assert is_file(cluster) is file


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no cluster file: write for example"),
        ("- a\n", "is no cluster file"),
        ("a: [", "is no YAML: while parsing a flow"),
        ("{}", "give one of kind, address and cluster_class, not none"),
        ("kind: local\naddress: tcp://h:1", "not kind and address"),
        ("kind: lokal", "kind: input should be 'local' or 'cuda', not 'lokal'"),
        ("address: host", "address: string should match pattern"),
        ("address: tcp://h:1\nworkers: 3", "workers goes with cluster_class only"),
        ("cluster_class: SLURMCluster", "cluster_class: string should match pattern"),
        ("cluster_class: a.B\nworkers: 0", "workers: input should be greater than or equal to 1, not 0"),
        ("cluster_class: a.B\nworkers: 2\nadapt_kwargs: {minimum: 1, maximum: 2}", "give workers or adapt_kwargs, not both"),
        ("cluster_class: a.B\nadapt_kwargs: {minimum: 3, maximum: 2}", "adapt_kwargs: minimum 3 is above maximum 2"),
        ("cluster_class: a.B\nworkers: 2\nwait: {workers: 3}", "wait.workers is 3, but only 2 will be there at first"),
        ("cluster_class: a.B\nadapt_kwargs: {minimum: 1, maximum: 9}\nwait: {workers: 2}", "but only 1 will be there"),
        ("kind: local\nwait: {second: 3}", "wait.second is no field of a cluster file: did you mean wait.seconds?"),
        ("kind: local\nwait: {workers: 2}", "wait goes with address and cluster_class only"),
        ("kind: local\nwait: {seconds: 0}", "wait.seconds: input should be greater than 0, not 0"),
    ],
)
def test_every_mistake_is_one_line(folder: Path, text: str, complaint: str) -> None:
    with pytest.raises(BadInput) as raised:
        read(written(folder, text))
    assert complaint in str(raised.value) and str(raised.value).startswith(str(folder / "mine.yaml")) and "\n" not in str(raised.value)


def test_an_unknown_name_says_what_there_is(folder: Path) -> None:
    written(folder, "kind: local")
    with pytest.raises(BadInput, match=r"'mina' is unknown, did you mean mine\?: use local, cuda, mine, tcp://host:port or the path"):
        find("mina")
    with pytest.raises(BadInput, match=r"cluster file \S+/gone.yaml is missing"):
        find(str(folder / "gone.yaml"))


def test_a_job_takes_a_file_and_refuses_a_name_that_nobody_knows(folder: Path) -> None:
    written(folder, "kind: local")
    assert make_job(a="A", b="B", out="C", cluster="mine").cluster == "mine"
    with pytest.raises(BadInput, match="'theirs' is unknown"):
        make_job(a="A", b="B", out="C", cluster="theirs")
