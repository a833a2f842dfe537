"""The units of systemd and the configurations of nginx and Caddy: what they promise, and that those programs take them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alsobought.settings import SECRETS_WITH_FILES, Settings, read_settings
from alsobought.web.http.limits import MAX_HEAD, Limits
from tests.support.project import ROOT

UNITS = ROOT / "deploy" / "systemd"
NGINX = (ROOT / "deploy" / "nginx" / "alsobought.conf").read_text()
CADDY = (ROOT / "deploy" / "caddy" / "Caddyfile").read_text()
NAME = "recommend.shop.example"


def program(name: str) -> str:
    """Where it is, empty if it is not installed."""
    return shutil.which(name, path="/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") or ""


def needs(name: str) -> pytest.MarkDecorator:
    """Where CI is set, a test without its program fails: .ci/run installs them all."""
    missing = not program(name) and not os.environ.get("CI")
    return pytest.mark.skipif(missing, reason=f"{name} is not installed")


def directives(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", (UNITS / unit).read_text(), re.M):
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("unit", ["alsobought.service", "alsobought-learn.service"])
def test_a_unit_gives_settings_that_exist_to_a_service_without_rights(unit: str) -> None:
    given = directives(unit)
    environ = dict(value.split("=", 1) for value in given["Environment"])
    settings, faults = read_settings(environ)
    assert faults == []
    assert settings.data_folder.parent == Path("/var/lib") / given["StateDirectory"][0]
    expected = {
        "User": "alsobought",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "CapabilityBoundingSet": "",
        "UMask": "0077",
        "SystemCallArchitectures": "native",
    }
    assert {name: given[name] for name in expected} == {name: [value] for name, value in expected.items()}
    assert given["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert "MemoryMax" in given
    assert "MemoryDenyWriteExecute" not in given, "ClickHouse compiles expressions"


def test_the_service_comes_back_has_time_to_stop_and_asks_for_keys() -> None:
    given = directives("alsobought.service")
    assert (given["Restart"], given["KillMode"]) == (["always"], ["mixed"])
    assert int(given["TimeoutStopSec"][0]) > Limits().drain + 10
    assert int(given["LimitNOFILE"][0]) >= Limits().connections
    assert "ALSOBOUGHT_ACCESS=keys" in given["Environment"], (
        "to the service, the proxy's requests come from this machine"
    )


@pytest.mark.thorough
@needs("systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in UNITS.iterdir():
        text = path.read_text().replace("/opt/alsobought/bin/alsobought", sys.executable)
        folder = tmp_path / "alsobought.service.d" if path.suffix == ".conf" else tmp_path
        folder.mkdir(exist_ok=True)
        (folder / path.name).write_text(re.sub(r"^(User|Group)=.*", r"\1=root", text, flags=re.M))
    units = [str(path) for path in tmp_path.iterdir() if path.is_file()]
    assert len(units) == 3
    ran = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60, check=False)
    assert [line for line in ran.stderr.splitlines() if str(tmp_path) in line] == []
    assert ran.returncode == 0


def test_credentials_of_systemd_are_secrets_that_the_service_reads() -> None:
    given = directives("secrets.conf")
    loaded = [credential.partition(":")[0] for credential in given["LoadCredential"]]
    assert set(loaded) <= set(SECRETS_WITH_FILES)
    assert given["Environment"] == [f"ALSOBOUGHT_{name.upper()}_FILE=%d/{name}" for name in loaded]


@needs("nginx")
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    subject, key, certificate = f"/CN={NAME}", tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60)
    (tmp_path / "site.conf").write_text(NGINX.replace(f"/etc/letsencrypt/live/{NAME}", str(tmp_path)))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(
        f"error_log {tmp_path}/error.log; pid {tmp_path}/pid; events {{}} http {{ access_log off; include site.conf; {temporary} }}"
    )
    ran = subprocess.run(
        [program("nginx"), "-t", "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@needs("caddy")
def test_caddy_takes_its_configuration(tmp_path: Path) -> None:
    path = ROOT / "deploy" / "caddy" / "Caddyfile"
    command = [program("caddy"), "validate", "--adapter", "caddyfile", "--config", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={"HOME": str(tmp_path)})
    assert ran.returncode == 0, ran.stderr


def test_both_proxies_keep_the_limits_of_the_service_and_close_idle_connections_first() -> None:
    megabytes = Settings().max_body_bytes // 2**20
    assert f"client_max_body_size {megabytes}m;" in NGINX
    assert f"max_size {megabytes}MiB" in CADDY
    assert f"max_header_size {MAX_HEAD // 2**10}KB" in CADDY
    for text in (NGINX, CADDY):
        (idle,) = re.findall(r"(?:keepalive_timeout|keepalive) (\d+)s", text)
        assert int(idle) < Limits().keep_alive, "else a request may meet a connection that is being closed"
        assert f"127.0.0.1:{Settings().port}" in text
        assert NAME in text


def test_both_proxies_pass_the_name_and_no_header_that_a_client_invented() -> None:
    assert "proxy_set_header Host $http_host;" in NGINX
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in NGINX
    for header in ("Host", "Prefix"):
        assert f'proxy_set_header X-Forwarded-{header} "";' in NGINX
        assert f"header_up -X-Forwarded-{header}" in CADDY
    assert "header_up Host" not in CADDY, "Caddy passes Host as it is"
    assert "proxy_next_upstream off;" in NGINX
    assert "lb_try_duration 0" in CADDY


@pytest.mark.parametrize("text", [NGINX, CADDY], ids=["nginx", "Caddy"])
def test_the_settings_that_a_proxy_names_are_valid(text: str) -> None:
    named = dict(re.findall(r"(ALSOBOUGHT_\w+)=(\S+)", text))
    settings, faults = read_settings(named)
    assert faults == []
    assert (settings.access, settings.allowed_hosts) == ("keys", NAME)
    assert settings.trusted_proxies == "127.0.0.1,::1"
