"""kubernetes.yaml, linted: nothing here can apply it."""

import re

import pytest
import yaml

from storage import is_url
from tasks.cluster_file import read
from tests.deployments.commands import DEPLOYMENTS, OURS, check_command, check_prefect_settings, ports_of
from tests.flows.prefect_api import entries

OBJECTS = list(yaml.safe_load_all((DEPLOYMENTS / "kubernetes.yaml").read_text()))
COMPOSE = yaml.safe_load((DEPLOYMENTS / "compose.yaml").read_text())["services"]


def of(kind: str) -> dict[str, dict]:
    return {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == kind}


(DASK,) = of("DaskCluster").values()
PODS = {name: one["spec"]["template"]["spec"] for name, one in of("Deployment").items()} | {
    "dask-scheduler": DASK["spec"]["scheduler"]["spec"],
    "dask-worker": DASK["spec"]["worker"]["spec"],
}

each = pytest.mark.parametrize("name", PODS)


def container(name: str) -> dict:
    (only,) = PODS[name]["containers"]
    return only


def command(name: str) -> list[str]:
    return container(name).get("command") or container(name).get("args") or []


def environment(name: str) -> dict[str, object]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container(name).get("env", [])}


def test_every_object_has_a_kind_that_kubernetes_or_the_operator_knows() -> None:
    known = {
        "v1": {"Namespace", "ServiceAccount", "PersistentVolumeClaim", "Service"},
        "rbac.authorization.k8s.io/v1": {"Role", "RoleBinding"},
        "apps/v1": {"Deployment"},
        "kubernetes.dask.org/v1": {"DaskCluster"},
    }
    assert {one["apiVersion"] for one in OBJECTS} == set(known)
    assert all(one["kind"] in known[one["apiVersion"]] for one in OBJECTS)
    assert all(one["metadata"].get("namespace") == "gemmflow" for one in OBJECTS if one["kind"] != "Namespace")


def test_it_is_the_same_as_compose() -> None:
    assert set(PODS) - {"pod-worker"} == set(COMPOSE)
    assert container("postgres")["image"] == COMPOSE["postgres"]["image"]
    for name in ("server", "worker", "dask-scheduler"):
        assert command(name) == COMPOSE[name]["command"]


@each
def test_every_image_is_ours_or_that_of_compose(name: str) -> None:
    assert container(name)["image"] == (OURS if name != "postgres" else COMPOSE["postgres"]["image"])


@each
def test_nobody_is_root_and_nobody_becomes_it(name: str) -> None:
    assert PODS[name]["securityContext"]["runAsNonRoot"] is True
    assert PODS[name]["securityContext"]["runAsUser"] > 0
    assert container(name)["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@each
def test_it_is_healthy_where_it_listens(name: str) -> None:
    probes = [container(name)["readinessProbe"], *([container(name)["livenessProbe"]] if name != "dask-worker" else [])]
    ports = {port["containerPort"] for port in container(name)["ports"]}
    assert ports == (ports_of(command(name)) or {5432})
    for probe in probes:
        if name == "postgres":
            assert probe["exec"]["command"] == COMPOSE["postgres"]["healthcheck"]["test"][1:]
        else:
            assert probe["httpGet"]["port"] in ports
            path = probe["httpGet"]["path"]
            assert path in " ".join(COMPOSE[name.removeprefix("pod-")]["healthcheck"]["test"])


@each
def test_its_command_would_be_understood(name: str) -> None:
    if command(name):
        check_command(command(name))


@each
def test_prefect_knows_its_settings_and_secrets_are_secrets(name: str) -> None:
    plain = {key: text for key, text in environment(name).items() if isinstance(text, str)}
    check_prefect_settings(plain)
    assert not any(re.search("PASSWORD|AUTH", key) for key in plain)
    keys = {source["secretKeyRef"]["key"] for source in environment(name).values() if not isinstance(source, str)}
    assert keys <= set(re.findall(r"--from-literal=(\w+)=", (DEPLOYMENTS / "kubernetes.yaml").read_text()))


@each
def test_its_volumes_are_claimed(name: str) -> None:
    volumes = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in PODS[name].get("volumes", [])}
    assert set(volumes.values()) <= set(of("PersistentVolumeClaim"))
    assert {mount["name"] for mount in container(name).get("volumeMounts", [])} == set(volumes)


@pytest.mark.parametrize("name", of("Service"))
def test_a_service_leads_to_a_pod_that_listens(name: str) -> None:
    service, deployment = of("Service")[name]["spec"], of("Deployment")[name]["spec"]
    assert service["selector"] == deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"]
    named = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
    assert all(named[port["targetPort"]] == port["port"] for port in service["ports"])


def test_addresses_name_services_of_this_file() -> None:
    services = {**{name: one["spec"] for name, one in of("Service").items()}, "gemmflow-scheduler": DASK["spec"]["scheduler"]["service"]}
    known = {(name, port["port"]) for name, spec in services.items() for port in spec["ports"]}
    plain = " ".join(str(text) for name in PODS for text in environment(name).values())
    named = re.findall(r"(?:http|tcp)://([a-z-]+)(?:\.gemmflow)?:(\d+)", plain)
    clusters = [
        schedule["parameters"]["job"].get("cluster", "")
        for entry in entries()
        for schedule in entry.get("schedules", [])
        if "job" in schedule["parameters"]
    ]
    named += [match for cluster in clusters for match in re.findall(r"tcp://([a-z-]+)\.gemmflow:(\d+)", cluster)]
    assert named and {(name, int(port)) for name, port in named} <= known
    assert DASK["spec"]["scheduler"]["service"]["selector"]["dask.org/cluster-name"] == DASK["metadata"]["name"]


def test_runs_of_the_pool_have_the_account_and_the_namespace_of_this_file() -> None:
    (entry,) = (entry for entry in entries() if entry["name"] == "multiply-kubernetes")
    variables = entry["work_pool"]["job_variables"]
    assert variables["service_account_name"] in of("ServiceAccount") and variables["namespace"] in of("Namespace")
    assert variables["image"] == OURS
    assert PODS["pod-worker"]["serviceAccountName"] in of("ServiceAccount")
    (job,) = (schedule["parameters"]["job"] for schedule in entry["schedules"])
    assert all(is_url(job[name]) for name in ("a", "b", "out")), "pods of this pool mount no volume"


def test_images_of_ours_elsewhere_are_this_one() -> None:
    (docker,) = (entry for entry in entries() if entry["name"] == "multiply-docker")
    assert docker["work_pool"]["job_variables"]["image"] == OURS
    assert read(str(DEPLOYMENTS / "clusters" / "kubernetes.yaml")).cluster_kwargs["image"] == OURS
