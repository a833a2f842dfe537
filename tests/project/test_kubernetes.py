"""The manifests of deploy/kubernetes are valid, hang together, and say what the app understands.

No cluster runs here. Kubernetes' own schemas are in a package, and what kustomize does with these files is to list them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import msgspec
import pytest
import yaml
from flask import Flask

from alsobought.access.settings import admin_key
from alsobought.cli.ingest import EXIT_SECONDS
from alsobought.cli.main import main
from alsobought.settings import SECRETS_WITH_FILES, Settings, read_settings
from alsobought.web import server, service_endpoints, worker
from tests.support.image import DOCKERFILE, image_settings
from tests.support.project import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
OLDEST, NEWEST = "1.27", "1.37"  # releases of Kubernetes
SECRETS = Path("/run/secrets/alsobought")
CONTENT = {
    "dsn": "http://alsobought:secret@clickhouse:8123",
    "reader_dsn": "http://alsobought_reader:secret@clickhouse:8123",
    "shards": "http://alsobought:secret@shard-1:8123,http://alsobought:secret@shard-2:8123",
    "admin_key": "k" * 43,
    "token_secret": "t" * 43,
}


class Image(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    name: str
    new_name: str
    new_tag: str


class Generator(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    name: str
    envs: list[str]
    options: dict[str, Any] = {}
    behavior: str = "create"


class Patch(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    target: dict[str, str]
    patch: str


class Kustomization(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    api_version: str
    kind: str
    resources: list[str]
    namespace: str = ""
    components: list[str] = []
    images: list[Image] = []
    config_map_generator: list[Generator] = []
    patches: list[Patch] = []


class ServiceMonitor(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The part of it that is used here: it is no kind of Kubernetes itself."""

    api_version: str
    kind: str
    metadata: dict[str, Any]
    spec: dict[str, Any]


def uncommented(text: str) -> str:
    """With the optional lines: `# - …` of a list, `# NAME=…` of settings."""
    return re.sub(r"^( *)# (- \.|[A-Z_]+=)", r"\1\2", text, flags=re.M)


@cache
def kustomization(folder: Path) -> Kustomization:
    text = uncommented((folder / "kustomization.yaml").read_text())
    return msgspec.convert(yaml.safe_load(text), Kustomization)


def files(folder: Path = FOLDER / "shop") -> Iterator[Path]:
    """Those that `kubectl apply -k` reads, with the components that are commented out."""
    yield folder / "kustomization.yaml"
    read = kustomization(folder)
    for name in [*read.resources, *read.components]:
        path = (folder / name).resolve()
        yield from files(path) if path.is_dir() else [path]
    for generator in read.config_map_generator:
        yield from (folder / name for name in generator.envs)


def manifests() -> list[dict[str, Any]]:
    paths = [path for path in files() if path.suffix == ".yaml" and path.name != "kustomization.yaml"]
    return [manifest for path in paths for manifest in yaml.safe_load_all(path.read_text())]


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests() if manifest["kind"] in kinds}


WORKLOADS = {name: manifest["spec"]["template"] for name, manifest in of_kind("Deployment", "Job").items()}


def container(name: str) -> dict[str, Any]:
    (only,) = WORKLOADS[name]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def shared_settings() -> dict[str, str]:
    """Those of the ConfigMap, with the optional ones."""
    lines = [
        line
        for folder in ("base", "shop")
        for line in uncommented((FOLDER / folder / "settings.env").read_text()).splitlines()
    ]
    assert all(re.match(r"#|[A-Z_]+=\S+$", line) for line in lines)
    return dict(line.split("=", 1) for line in lines if line[0] != "#")


def environment(name: str) -> dict[str, str]:
    own = {variable["name"]: variable["value"] for variable in container(name).get("env", ())}
    return {**image_settings(), **shared_settings(), **own}


def settings_of(name: str, folder: Path) -> Settings:
    """Those of a pod, with its secrets in the folder."""
    for secret, text in CONTENT.items():
        (folder / secret).write_text(text)
    here = {key: value.replace(str(SECRETS), str(folder)) for key, value in environment(name).items()}
    settings, faults = read_settings(here)
    assert faults == []
    return settings


def labels_of(manifest: dict[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = manifest["metadata"]["labels"]
    return labels


# The files


def test_every_file_is_part_of_an_installation() -> None:
    assert set(files()) == {path for path in FOLDER.rglob("*") if path.is_file()}


def test_a_manifest_has_the_fields_that_kubernetes_knows_and_no_others() -> None:
    for manifest in manifests():
        if manifest["kind"] == "ServiceMonitor":
            assert msgspec.convert(manifest, ServiceMonitor)
            continue
        for version in (OLDEST, NEWEST):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_with_a_typing_error_is_not_valid() -> None:
    service = of_kind("Service")["alsobought"]
    service["spec"]["portz"] = service["spec"]["ports"]
    with pytest.raises(kubernetes_validate.ValidationError, match="portz"):
        kubernetes_validate.validate(service, NEWEST, strict=True)


def test_a_shop_names_the_image_and_the_settings_that_the_base_has() -> None:
    base, shop = kustomization(FOLDER / "base"), kustomization(FOLDER / "shop")
    (settings,), (own,) = base.config_map_generator, shop.config_map_generator
    assert (own.name, own.behavior) == (settings.name, "merge")
    assert {container(name)["image"] for name in WORKLOADS} == {image.name for image in shop.images}
    for name in WORKLOADS:
        assert container(name)["envFrom"] == [{"configMapRef": {"name": settings.name}}]


def test_the_autoscaler_alone_sets_the_number_of_pods() -> None:
    (patch,) = kustomization(FOLDER / "components" / "autoscaler").patches
    (autoscaler,) = of_kind("HorizontalPodAutoscaler").values()
    target = autoscaler["spec"]["scaleTargetRef"]
    assert patch.target == {key: target[key] for key in ("kind", "name")}
    assert yaml.safe_load(patch.patch) == [{"op": "remove", "path": "/spec/replicas"}]
    assert of_kind("Deployment")[target["name"]]["spec"]["replicas"] == autoscaler["spec"]["minReplicas"]


# What runs


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_is_given_settings_and_a_command_that_exist(name: str, tmp_path: Path) -> None:
    settings = settings_of(name, tmp_path)
    assert settings.kafka
    command, words = main, list(container(name)["args"])
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]  # type: ignore[assignment]
    context = command.make_context(None, words, obj=settings)
    if workers := context.params.get("workers"):
        server.require_writer_beside_workers(msgspec.structs.replace(settings, workers=workers))


def test_the_app_asks_for_keys_and_lets_people_log_in(tmp_path: Path) -> None:
    settings = settings_of("alsobought", tmp_path)
    assert settings.access == "keys"
    assert admin_key(settings) == CONTENT["admin_key"]
    assert settings.token_secret == CONTENT["token_secret"]


def test_secrets_are_files_which_the_page_creates() -> None:
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    created = {
        name: set(re.findall(r"--from-file=(\w+)=", options))
        for name, options in re.findall(r"create secret generic (\S+)((?:.*\\\n)*.*)", page)
    }
    optional = {"shards"}
    for name in WORKLOADS:
        names = environment(name)
        assert not {f"ALSOBOUGHT_{secret.upper()}" for secret in SECRETS_WITH_FILES} & names.keys()
        secrets = {
            volume["name"]: volume["secret"] for volume in WORKLOADS[name]["spec"]["volumes"] if "secret" in volume
        }
        (mount,) = (mount for mount in container(name)["volumeMounts"] if mount["name"] in secrets)
        assert (mount["mountPath"], mount["readOnly"]) == (str(SECRETS), True)
        asked = {Path(value).name for value in names.values() if Path(value).parent == SECRETS}
        assert asked - optional <= created[secrets[mount["name"]]["secretName"]]
    (monitor,) = of_kind("ServiceMonitor").values()
    (endpoint,) = monitor["spec"]["endpoints"]
    credentials = endpoint["authorization"]["credentials"]
    assert credentials["key"] in created[credentials["name"]]


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_has_no_more_rights_than_it_needs(name: str) -> None:
    """The profile `restricted` of Kubernetes' Pod Security Standards, and a root file system that is read-only."""
    (uid,) = (int(rest.partition(":")[0]) for word, rest in DOCKERFILE if word == "USER")
    pod, one = WORKLOADS[name]["spec"], container(name)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": uid,
        "fsGroup": uid,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
    assert "memory" in one["resources"]["limits"]
    writable = [mount["mountPath"] for mount in one["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]  # noqa: S108


@pytest.mark.parametrize("name", WORKLOADS)
def test_no_variable_of_a_service_is_taken_for_a_setting(name: str) -> None:
    _, faults = read_settings({"ALSOBOUGHT_PORT": "tcp://10.0.0.1:80", "ALSOBOUGHT_SERVICE_HOST": "10.0.0.1"})
    assert len(faults) == 2, "which is what Kubernetes sets for the service `alsobought`"
    assert WORKLOADS[name]["spec"]["enableServiceLinks"] is False


# Ports and probes


def test_the_ports_are_those_of_the_settings(tmp_path: Path) -> None:
    settings = settings_of("alsobought", tmp_path)
    ports = {port["name"]: port["containerPort"] for port in container("alsobought")["ports"]}
    assert ports == {"http": settings.port, "admin": settings.admin_port}
    assert settings.host == settings.admin_host == "0.0.0.0"  # noqa: S104
    for service in of_kind("Service").values():
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()
    (policy,) = of_kind("NetworkPolicy").values()
    assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == ports.keys()


def test_what_is_public_leads_to_the_public_port() -> None:
    (ingress,) = of_kind("Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    (port,) = (p for p in of_kind("Service")[backend["name"]]["spec"]["ports"] if p["name"] == backend["port"]["name"])
    assert port["targetPort"] == "http"
    assert rule["host"] in shared_settings()["ALSOBOUGHT_ALLOWED_HOSTS"].split(",")
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_probes_and_prometheus_ask_for_paths_of_the_service() -> None:
    probes = [container("alsobought")[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")]
    asked = [probe["httpGet"] for probe in probes]
    assert [(get["path"], get["port"]) for get in asked] == [
        ("/healthz", "http"),
        ("/healthz", "http"),
        ("/readyz", "http"),
    ]
    (monitor,) = of_kind("ServiceMonitor").values()
    (endpoint,) = monitor["spec"]["endpoints"]
    app = Flask(__name__)
    app.register_blueprint(service_endpoints.blueprint)
    for path in (*(get["path"] for get in asked), endpoint["path"]):
        assert app.url_map.bind("").match(path)
    (service,) = (
        one for one in of_kind("Service").values() if monitor["spec"]["selector"]["matchLabels"] == labels_of(one)
    )
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_a_pod_has_the_time_that_it_needs(tmp_path: Path) -> None:
    app, liveness = WORKLOADS["alsobought"]["spec"], container("alsobought")["livenessProbe"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] > server.HUNG_SECONDS
    command, seconds = container("alsobought")["lifecycle"]["preStop"]["exec"]["command"]
    graceful = server._gunicorn_options(settings_of("alsobought", tmp_path))["graceful_timeout"]
    assert command == "sleep"
    assert app["terminationGracePeriodSeconds"] >= int(seconds) + worker.LIMITS.drain + graceful + 10
    assert WORKLOADS["alsobought-ingest"]["spec"]["terminationGracePeriodSeconds"] > EXIT_SECONDS + 5


# Who belongs to whom


def test_selectors_find_the_pods_that_they_are_for() -> None:
    pods = {name: labels_of(template) for name, template in WORKLOADS.items()}
    assert len({frozenset(labels.items()) for labels in pods.values()}) == len(pods)

    def found(selector: dict[str, str]) -> list[str]:
        return [name for name, labels in pods.items() if selector.items() <= labels.items()]

    for name, deployment in of_kind("Deployment").items():
        assert found(deployment["spec"]["selector"]["matchLabels"]) == [name]
        for spread in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert found(spread["labelSelector"]["matchLabels"]) == [name]
        assert deployment["spec"]["replicas"] > 1
        assert found(of_kind("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"]) == [name]
    assert all(found(service["spec"]["selector"]) == ["alsobought"] for service in of_kind("Service").values())
    (policy,) = of_kind("NetworkPolicy").values()
    assert found(policy["spec"]["podSelector"]["matchLabels"]) == list(pods)
