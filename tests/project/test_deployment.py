"""docker-compose.yml, the Dockerfile and the workflow say what the app understands.

No container runs here: the workflow starts them, on every push.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec
import pytest
import yaml

from alsobought.access.settings import admin_key
from alsobought.cli.main import main
from alsobought.service.service import Service
from alsobought.settings import SCRATCH_SUFFIXES, SECRETS_WITH_FILES, Settings, read_settings
from tests.support.image import DOCKERFILE, image_settings
from tests.support.process import free_port, running
from tests.support.project import PROJECT, ROOT
from tests.support.server_users import VARIABLES


class Health(msgspec.Struct, forbid_unknown_fields=True):
    test: list[str] = []
    interval: str = ""
    timeout: str = ""
    retries: int = 0
    start_period: str = ""
    disable: bool = False


class Condition(msgspec.Struct, forbid_unknown_fields=True):
    condition: str


class Mounted(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    target: str


class Build(msgspec.Struct, forbid_unknown_fields=True):
    context: str
    args: dict[str, str]


class ComposeService(msgspec.Struct, forbid_unknown_fields=True):
    image: str
    restart: str
    cap_drop: list[str]
    security_opt: list[str]
    mem_limit: str
    pids_limit: int
    build: Build | None = None
    cap_add: list[str] = []
    read_only: bool = False
    tmpfs: list[str] = []
    secrets: list[str] = []
    init: bool = False
    command: list[str] = []
    profiles: list[str] = []
    environment: dict[str, str] = {}
    ports: list[str] = []
    volumes: list[str] = []
    configs: list[Mounted] = []
    ulimits: dict[str, dict[str, int]] = {}
    healthcheck: Health = msgspec.field(default_factory=Health)
    depends_on: dict[str, Condition] = {}
    stop_grace_period: str = ""


class Compose(msgspec.Struct, forbid_unknown_fields=True):
    """The part of the format that is used here: a key with a typing error is no key of it."""

    name: str
    services: dict[str, ComposeService]
    configs: dict[str, dict[str, str]]
    secrets: dict[str, dict[str, str]]
    volumes: dict[str, None]


REQUIRED = tuple(VARIABLES.values())
SET = dict.fromkeys(REQUIRED, "0123456789abcdef" * 4)
MOUNTED = "/run/secrets/"


def composed(**environ: str) -> Compose:
    """The file as compose reads it, with `${NAME:-default}` and what has to be set filled in."""
    environ = SET | environ
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: environ.get(m[1], m[2]), (ROOT / "docker-compose.yml").read_text())
    text = re.sub(r"\$\{(\w+):\?[^}]+\}", lambda m: environ[m[1]], text)
    assert "${" not in text
    read: Mapping[str, Any] = yaml.safe_load(text)
    return msgspec.convert({key: value for key, value in read.items() if not key.startswith("x-")}, Compose)


COMPOSE = composed()


def of_ours() -> dict[str, ComposeService]:
    return {name: service for name, service in COMPOSE.services.items() if service.build}


def users() -> ET.Element:
    found = ET.parse(ROOT / "sql" / "server" / "users.xml").getroot().find("users")  # noqa: S314
    assert found is not None
    return found


# Compose


def test_kafka_and_the_consumer_start_only_when_asked_for() -> None:
    assert list(COMPOSE.services) == ["clickhouse", "migrate", "app", "kafka", "ingest"]
    assert {name for name, service in COMPOSE.services.items() if service.profiles == ["kafka"]} == {"kafka", "ingest"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the script has made the secrets."""
    folder = tmp_path_factory.mktemp("made")
    _make_secrets(folder)
    return folder


def _make_secrets(folder: Path) -> dict[str, str]:
    """Runs the script; returns what .env has."""
    (folder / "deploy").mkdir(exist_ok=True)
    script = folder / "deploy" / "secrets.sh"
    script.write_text((ROOT / "deploy" / "secrets.sh").read_text())
    subprocess.run(["/bin/sh", script], check=True, capture_output=True, timeout=30)
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())


def _settings(name: str, made: Path) -> Settings:
    """Those of a service, with the secrets that it is given."""
    service = COMPOSE.services[name]
    for secret in service.secrets:
        assert COMPOSE.secrets[secret] == {"file": f"./secrets/{secret}"}
    files = [value for value in service.environment.values() if value.startswith(MOUNTED)]
    assert sorted(files) == sorted(f"{MOUNTED}{secret}" for secret in service.secrets)
    here = {key: value.replace(MOUNTED, f"{made}/secrets/") for key, value in service.environment.items()}
    settings, faults = read_settings({**image_settings(), **here})
    assert faults == []
    return settings


@pytest.mark.parametrize("name", of_ours())
def test_a_service_of_ours_is_given_settings_and_a_command_that_exist(name: str, made: Path) -> None:
    assert _settings(name, made)
    command: click.Command = main
    for word in COMPOSE.services[name].command:
        assert isinstance(command, click.Group)
        command = command.commands[word]


@pytest.mark.parametrize("name", of_ours())
def test_the_app_finds_the_server_and_is_let_in_as_the_user_for_its_work(name: str, made: Path) -> None:
    settings, env = _settings(name, made), dict(line.split("=") for line in (made / ".env").read_text().splitlines())
    for address, expected in (
        (settings.dsn, "alsobought_migrator" if name == "migrate" else "alsobought"),
        (settings.reader_dsn, "alsobought_reader"),
    ):
        dsn = urlsplit(address)
        assert (dsn.hostname, dsn.port, dsn.username) == ("clickhouse", 8123, expected)
        user, variable = users().find(expected), VARIABLES[expected]
        assert user is not None
        assert user.findtext("networks/ip") == "::/0"
        assert user.find("password_sha256_hex").attrib == {"from_env": variable}  # type: ignore[union-attr]
        assert env[variable] == hashlib.sha256(str(dsn.password).encode()).hexdigest()
        assert COMPOSE.services["clickhouse"].environment[variable] == SET[variable]


def test_the_databases_of_the_users_are_those_of_the_settings() -> None:
    """tests/storage/test_server_users.py shows what each can do."""
    granted = {str(user): " ".join(str(query.text) for query in users().find(user).iter("query")) for user in VARIABLES}  # type: ignore[union-attr]
    ours = Settings().database
    for user, grants in granted.items():
        databases = {database for database in re.findall(r" ON (\w+)\.\*", grants) if database != "*"}
        scratch = {f"{ours}{suffix}" for suffix in SCRATCH_SUFFIXES if suffix != "_verify"}
        assert databases == ({ours, f"{ours}_all"} if user == "alsobought_reader" else {ours} | scratch)
        assert (f"{ours}_verify*.*" in grants) == (user == "alsobought_migrator")
    assert set(re.findall(r"GRANT (\w+)", granted["alsobought_reader"])) == {"SELECT"}


def test_the_user_that_reads_the_dictionary_stays_and_cannot_come_from_outside() -> None:
    networks = users().find("default/networks")
    assert networks is not None
    assert networks.attrib == {"replace": "replace"}
    assert {ip.text for ip in networks} == {"::1", "127.0.0.1"}
    texts = [path.read_text() for path in (ROOT / "migrations").glob("*.sql")]
    dictionaries = [text for text in texts if re.search("create (or replace )?dictionary", text)]
    assert len(dictionaries) == 6
    for text in dictionaries:
        assert "source(clickhouse(query" in text, "it names no user, so the server takes `default`"


def test_the_server_is_of_the_version_that_the_tests_run_on(shop: Service) -> None:
    version = str(shop.warehouse.value("select version()"))
    image, _, tag = COMPOSE.services["clickhouse"].image.partition(":")
    assert (image, tag) == ("clickhouse/clickhouse-server", ".".join(version.split(".")[:2]))


def test_nothing_is_published_beyond_this_machine_and_the_page_is_on_the_default_port() -> None:
    port, admin_port = Settings().port, int(COMPOSE.services["app"].environment["ALSOBOUGHT_ADMIN_PORT"])
    assert COMPOSE.services["app"].ports == [f"127.0.0.1:{one}:{one}" for one in (port, admin_port)]
    moved = composed(ALSOBOUGHT_PORT="9000", ALSOBOUGHT_ADMIN_PORT="9001").services["app"].ports
    assert moved == [f"127.0.0.1:9000:{port}", f"127.0.0.1:9001:{admin_port}"]
    for service in COMPOSE.services.values():
        assert all(published.startswith("127.0.0.1:") for published in service.ports)
    assert COMPOSE.services["clickhouse"].ports == []


def test_each_waits_for_what_it_needs() -> None:
    ready, done = Condition("service_healthy"), Condition("service_completed_successfully")
    assert COMPOSE.services["migrate"].depends_on == {"clickhouse": ready}
    assert COMPOSE.services["app"].depends_on == {"clickhouse": ready, "migrate": done}
    assert COMPOSE.services["ingest"].depends_on == {"kafka": ready, "migrate": done}
    for name, service in COMPOSE.services.items():
        asked = service.healthcheck.test or (not service.healthcheck.disable and service.build)
        waited_for = [one.depends_on[name] for one in COMPOSE.services.values() if name in one.depends_on]
        assert asked or ready not in waited_for, name


def test_nothing_has_a_default_password_and_compose_says_what_to_run() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    demanded = re.findall(r"\$\{(\w+):\?([^}]+)\}", text)
    assert {name for name, _ in demanded} == set(REQUIRED)
    assert {message for _, message in demanded} == {"run deploy/secrets.sh first"}
    assert not re.search(r"\$\{\w*(PASSWORD|SECRET|KEY)\w*:-", text)
    for name in REQUIRED:
        assert len(re.findall(rf"\$\{{{name}\b", text)) == len(re.findall(rf"\$\{{{name}:\?", text)) >= 1


def test_the_script_makes_the_secrets_once_and_for_the_owner_only(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CLICKHOUSE_PASSWORD=mine\nALSOBOUGHT_PORT=9000\nALSOBOUGHT_TOKEN_SECRET=old\n")
    first = _make_secrets(tmp_path)
    files = {name: (tmp_path / of["file"]).read_text() for name, of in COMPOSE.secrets.items()}
    assert set(first) == {*REQUIRED, "ALSOBOUGHT_PORT"}
    assert (files["dsn"], files["token_secret"]) == ("http://alsobought:mine@clickhouse:8123", "old")
    assert len({*files.values()}) == len(files) == 5
    settings, faults = read_settings({"ALSOBOUGHT_ADMIN_KEY": files["admin_key"]})
    assert (admin_key(settings), faults) == (files["admin_key"], [])
    modes = {(tmp_path / of["file"]).stat().st_mode & 0o777 for of in COMPOSE.secrets.values()}
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("secrets", ".env")] == [0o700, 0o600]
    assert modes == {0o444}
    assert _make_secrets(tmp_path) == first
    assert {name: (tmp_path / of["file"]).read_text() for name, of in COMPOSE.secrets.items()} == files
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".env", "secrets/"} <= set(ignored)


def test_the_app_takes_keys_and_no_container_has_a_secret_in_its_environment(made: Path) -> None:
    assert COMPOSE.services["app"].environment["ALSOBOUGHT_ACCESS"] == "keys"
    settings = _settings("app", made)
    assert admin_key(settings)
    assert settings.token_secret, "logins need it on a server"
    for service in of_ours().values():
        assert not {f"ALSOBOUGHT_{name.upper()}" for name in SECRETS_WITH_FILES} & service.environment.keys()


def test_a_container_has_no_more_rights_than_it_needs() -> None:
    for name, service in COMPOSE.services.items():
        assert service.cap_drop == ["ALL"], name
        assert service.security_opt == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[1-9]\d*g", service.mem_limit), name
        assert service.pids_limit > 0, name
        assert bool(service.cap_add) == (name == "clickhouse"), name
        if service.build:
            assert service.read_only, name
            assert service.tmpfs == ["/tmp"], name  # noqa: S108


def test_what_runs_comes_back_and_what_is_done_stays_done() -> None:
    assert COMPOSE.services["migrate"].restart == "on-failure:3"
    assert {s.restart for name, s in COMPOSE.services.items() if name != "migrate"} == {"unless-stopped"}


def test_images_are_pinned_and_data_is_kept_in_volumes() -> None:
    for name, service in COMPOSE.services.items():
        kept = [volume.partition(":")[0] for volume in service.volumes if not volume.startswith(".")]
        if service.build:
            assert kept == []
        else:
            assert re.search(r":\d+\.\d+(\.\d+)?$", service.image), service.image
            assert kept == [name]
            assert name in COMPOSE.volumes


def test_what_is_mounted_exists_and_cannot_be_written() -> None:
    for service in of_ours().values():
        for volume in service.volumes:
            here, there, mode = volume.split(":")
            assert mode == "ro"
            assert (ROOT / here).is_dir()
            assert there == f"{image_settings()['ALSOBOUGHT_HOME']}/{Path(here).name}"
    mounted = COMPOSE.services["clickhouse"].configs
    assert [one.source for one in mounted] == list(COMPOSE.configs)
    assert all((ROOT / config["file"]).is_file() for config in COMPOSE.configs.values())


@pytest.mark.parametrize("name", ["config.xml", "users.xml"])
def test_the_engine_reads_the_servers_files(name: str, tmp_path: Path) -> None:
    program = """
        from clickhouse_connect import get_client
        client = get_client(dsn="chdb://:memory:", chdb_options={{"config-file": {file!r}}})
        print("answer", client.command("select 41 + 1"))
    """
    file = tmp_path / name
    file.write_text((ROOT / "sql" / "server" / name).read_text())
    run = running(tmp_path / "data", **SET)
    assert "answer 42" in run.python(program.format(file=str(file)))
    file.write_text(file.read_text().replace("<clickhouse>", "<clickhouse><unclosed>"))
    with pytest.raises(AssertionError, match="SAXParseException"):
        run.python(program.format(file=str(file)))


# The image


def test_the_image_holds_all_that_the_app_needs() -> None:
    home = image_settings()["ALSOBOUGHT_HOME"]
    last_stage = DOCKERFILE[max(n for n, (word, _) in enumerate(DOCKERFILE) if word == "FROM") :]
    assert ("WORKDIR", home) in last_stage
    assert ("RUN", "/venv/bin/alsobought init .") in last_stage  # the project, from the wheel
    assert [rest for word, rest in last_stage if word == "COPY"] == ["--from=build /venv /venv"]
    for word, rest in DOCKERFILE:
        if word == "COPY" and "--from" not in rest:
            assert all((ROOT / name).exists() for name in rest.split()[:-1])
    built_from = {"pyproject.toml", "setup.py", "README.md", "LICENSE", "app", "tests/pipes", *PROJECT}
    copied = {name for word, rest in DOCKERFILE if word == "COPY" for name in rest.split()[:-1]}
    assert copied == {*built_from, "requirements.lock", "--from=build", "/venv"}


def test_the_image_installs_the_locked_versions_and_the_wheel() -> None:
    said = "\n".join(rest for word, rest in DOCKERFILE if word == "RUN")
    assert "pip install --disable-pip-version-check --require-hashes -r requirements.lock" in said
    assert re.search(r"pip wheel .* --wheel-dir /wheel \. .*pip install .*--no-deps --no-index /wheel/\*\.whl", said)


def test_the_image_is_pinned_and_runs_as_nobody_in_particular() -> None:
    froms = [rest.split()[0] for word, rest in DOCKERFILE if word == "FROM"]
    (base,) = set(froms)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base), "an exact version on an exact Debian"
    builds = {name: service.build for name, service in COMPOSE.services.items() if service.build}
    assert {name: build.args["PYTHON"] for name, build in builds.items()} == dict.fromkeys(builds, base)
    (user,) = (rest for word, rest in DOCKERFILE if word == "USER")
    (added,) = (rest for word, rest in DOCKERFILE if word == "RUN" and rest.startswith("useradd"))
    (uid,) = re.findall(r"--uid (\d+)", added)
    assert user == f"{uid}:{uid}", "a number, which `runAsNonRoot` can check"
    assert not any("sudo" in rest or "apt-get upgrade" in rest or word == "ADD" for word, rest in DOCKERFILE)


def test_the_image_listens_where_it_says() -> None:
    settings, faults = read_settings(image_settings())
    assert faults == []
    assert settings.host == "0.0.0.0"  # noqa: S104
    assert ("EXPOSE", str(settings.port)) in DOCKERFILE
    assert settings.data_folder.parent == Path(dict(DOCKERFILE)["VOLUME"])
    start = json.loads(dict(DOCKERFILE)["ENTRYPOINT"]) + json.loads(dict(DOCKERFILE)["CMD"])
    assert start == ["alsobought", "serve"]


def test_the_images_health_is_what_healthz_answers() -> None:
    class Alive(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    command = json.loads(dict(DOCKERFILE)["HEALTHCHECK"].partition(" CMD ")[2])
    command[0] = sys.executable

    def healthy(port: int) -> bool:
        environ = {**os.environ, "ALSOBOUGHT_PORT": str(port)}
        return subprocess.run(command, env=environ, capture_output=True, check=False, timeout=30).returncode == 0

    with http.server.HTTPServer(("127.0.0.1", 0), Alive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert healthy(server.server_port)
        server.shutdown()
    assert not healthy(free_port())


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    seen = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        name for word, rest in DOCKERFILE if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]
    }
    assert seen == copied


def test_every_command_of_the_image_fails_where_a_part_of_it_fails() -> None:
    for word, rest in DOCKERFILE:
        assert word != "RUN" or not re.search(r"[;|]", rest), rest
        assert word not in ("ENTRYPOINT", "CMD") or rest.startswith("["), "no shell between the signal and the service"


# The workflow


def test_the_workflow_runs_the_suite_on_the_server_of_the_compose_file_and_the_compose_file_itself() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert list(jobs) == ["suite", "server", "containers"]
    said = {name: [step.get("run", "") for step in job["steps"]] for name, job in jobs.items()}
    assert ".ci/run" in said["suite"]
    assert jobs["server"]["services"]["clickhouse"]["image"] == COMPOSE.services["clickhouse"].image
    assert any(line.startswith("docker compose up") and "--wait" in line for line in said["containers"])
    asked = re.findall(r"\$SHOP/pipes/(\w+)", "\n".join(said["containers"]))
    assert asked
    assert all((ROOT / "pipes" / f"{pipe}.sql").is_file() for pipe in asked)
    for words in re.findall(r"app alsobought (.+)", "\n".join(said["containers"])):
        assert words in main.commands
