"""Settings are read from the environment once, each has a description, and all faults are reported together."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from alsobought.errors import Unusable
from alsobought.settings import (
    RENAMED,
    SECRETS_WITH_FILES,
    Settings,
    deprecations,
    descriptions,
    extra_event_types,
    from_environment,
    origins,
    packaged_home,
)
from tests.support.process import write
from tests.support.project import ROOT, project_folder


def test_without_variables_every_setting_has_its_default() -> None:
    assert from_environment({"PATH": "/bin", "HOME": "/root"}) == Settings()
    assert Settings().home_folder == ROOT
    assert (ROOT / "pipes").is_dir()


def test_the_home_is_the_current_folder_if_that_is_a_project_else_the_packages_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings().home_folder == packaged_home() == ROOT
    project_folder(tmp_path, "pipes", "migrations")
    assert Settings().home_folder == ROOT
    project_folder(tmp_path, "sql")
    assert Settings().home_folder == tmp_path
    assert Settings(home=str(ROOT)).home_folder == ROOT


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_an_empty_variable_is_not_set(name: str) -> None:
    for nothing in ("", " "):
        assert from_environment({f"ALSOBOUGHT_{name.upper()}": nothing}) == Settings()


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_read_and_has_a_description(name: str) -> None:
    default = getattr(Settings(), name)
    chosen = {
        "dsn": "chdb:///elsewhere",
        "trusted_proxies": "10.0.0.0/8",
        "kafka_where": "properties.site=berlin",
        "reader_dsn": "http://reader@elsewhere",
        "insert_quorum": "auto",
        "shards": "http://a:8123|http://b:8123,http://c:8123",
        "kafka_protocol": "sasl_ssl",
        "kafka_mechanism": "PLAIN",
        "kafka_token_url": "https://login.example/token",
        "registry": "https://registry.example",
        "dsn_verify": "False",
        "record_requests": "False",
        "catalogue_only": "True",
        "drop_bots": "False",
        "access": "open",
        "server_rate": "60/second",
        "browser_rate": "10/second",
        "workbench": "closed",
        "log": "json",
        "log_level": "error",
        "dead_letter_max_ratio": "0.25",
        "event_retention_days": "365",
    }
    given = chosen.get(name) or (f"{default}7" if isinstance(default, str) else str(default + 1))
    needed = {"cluster": ["shards"], "shards": ["cluster"], "shard": ["shards", "cluster"]}.get(name, [])
    others = {key: {"shards": "http://a", "cluster": "shop"}[key] for key in needed}
    settings = from_environment({f"ALSOBOUGHT_{key.upper()}": value for key, value in {**others, name: given}.items()})
    read = getattr(settings, name)
    assert str(read) == given
    assert type(read) is type(default)
    assert msgspec.structs.replace(settings, **{name: default, **dict.fromkeys(others, "")}) == Settings()
    assert re.fullmatch(r"(?:[A-Z]|chdb:).{10,}[^ ][.]", descriptions()[name])


@pytest.mark.parametrize("name", SECRETS_WITH_FILES)
def test_every_secret_is_also_read_from_a_file(name: str, tmp_path: Path) -> None:
    secret = "http://ann:secret@shop:8123" if name.endswith(("dsn", "shards")) else "a secret"
    file, variable = write(tmp_path / name, secret, ""), f"ALSOBOUGHT_{name.upper()}"
    cluster = {"ALSOBOUGHT_CLUSTER": "shop"} if name == "shards" else {}
    settings = from_environment({f"{variable}_FILE": str(file), **cluster})
    assert getattr(settings, name) == secret
    assert "secret" not in repr(settings).replace("token_secret=", "").replace("webhook_secret=", "")
    with pytest.raises(Unusable, match=f"{variable} and {variable}_FILE are both set"):
        from_environment({f"{variable}_FILE": str(file), variable: secret})


def test_a_file_without_a_secret_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    write(tmp_path / "empty")
    for name, fault in (
        ("missing", "cannot be read: no such file or directory"),
        ("empty", "is empty"),
        ("binary", "cannot be read: it is not UTF-8"),
        ("large", "has more than 65,536 bytes"),
        (".", "is not a file"),
    ):
        with pytest.raises(Unusable, match=f"ALSOBOUGHT_KAFKA_PASSWORD_FILE: .* {fault}"):
            from_environment({"ALSOBOUGHT_KAFKA_PASSWORD_FILE": str(tmp_path / name)})


def test_names_of_kafka_are_read_in_either_case_and_tls_of_a_dsn_has_settings() -> None:
    settings = from_environment(
        {"ALSOBOUGHT_KAFKA_PROTOCOL": "SASL_SSL", "ALSOBOUGHT_KAFKA_MECHANISM": "scram-sha-512"}
    )
    assert (settings.kafka_protocol, settings.kafka_mechanism) == ("sasl_ssl", "SCRAM-SHA-512")
    with pytest.raises(
        Unusable, match="ALSOBOUGHT_DSN has verify: set ALSOBOUGHT_DSN_CA, _CERTIFICATE, _KEY and _VERIF"
    ):
        from_environment({"ALSOBOUGHT_DSN": "https://ann@shop:8443/?verify=false"})


def test_events_must_outlive_what_recognises_their_repeats() -> None:
    with pytest.raises(
        Unusable, match="ALSOBOUGHT_EVENT_RETENTION_DAYS=7 is not more than ALSOBOUGHT_DEDUP_WINDOW_DAYS=7"
    ):
        from_environment({"ALSOBOUGHT_EVENT_RETENTION_DAYS": "7"})


def test_deprecated_settings_keep_working_with_a_warning() -> None:
    variables = {"ALSOBOUGHT_WORKBENCH": "closed", "ALSOBOUGHT_EDIT_HOSTS": "shop.example"}
    settings = from_environment(variables)
    assert (settings.workbench, settings.edit_hosts) == ("closed", "shop.example")
    of_page, of_editor = deprecations(variables)
    assert "ALSOBOUGHT_WORKBENCH is deprecated: use keys" in of_page
    assert "ALSOBOUGHT_ADMIN_PORT" in of_page
    assert "ALSOBOUGHT_EDIT_HOSTS is deprecated: use keys" in of_editor
    assert "ALSOBOUGHT_ALLOWED_HOSTS" in of_editor


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_old_names_of_settings_keep_working_with_a_warning(old: str, new: str) -> None:
    variables = {f"ALSOBOUGHT_{old.upper()}": "0.25" if new == "dead_letter_max_ratio" else "12"}
    assert from_environment(variables) == from_environment(
        {f"ALSOBOUGHT_{new.upper()}": next(iter(variables.values()))}
    )
    assert from_environment(variables) != Settings()
    assert deprecations(variables) == [f"ALSOBOUGHT_{old.upper()} is deprecated: set ALSOBOUGHT_{new.upper()} instead"]
    with pytest.raises(Unusable, match="both are set"):
        from_environment({**variables, f"ALSOBOUGHT_{new.upper()}": "13"})


def test_every_description_belongs_to_its_setting() -> None:
    assert list(descriptions()) == list(Settings.__struct_fields__)
    assert descriptions()["port"] == "Port to listen on."
    assert descriptions()["query_rows"] == "Rows that one pipe may read."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("THREADS", "0"),
        ("THREADS", "1.5"),
        ("BATCH_SECONDS", "0"),
        ("BATCH_SECONDS", "-1"),
        ("BATCH_SECONDS", "soon"),
        ("BATCH_SECONDS", "inf"),
        ("BATCH_SECONDS", "1e300"),
        ("BATCH_SECONDS", "nan"),
        ("QUERY_SECONDS", "inf"),
        ("DEDUP_WINDOW_DAYS", "1000000000"),
        ("QUEUE_ROWS", "99999999999999999999"),
        ("DATABASE", "a b"),
        ("DATABASE", "a; drop table t"),
        ("DSN", "localhost:8123"),
        ("PROT", "8080"),
    ],
)
def test_a_wrong_value_is_reported_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(Unusable, match=f"^ALSOBOUGHT_{name}"):
        from_environment({f"ALSOBOUGHT_{name}": value})


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(Unusable) as raised:
        from_environment({"ALSOBOUGHT_PORT": "x", "ALSOBOUGHT_THREADS": "-1", "ALSOBOUGHT_NONSENSE": "1"})
    assert re.findall(r"ALSOBOUGHT_\w+", str(raised.value)) == [
        "ALSOBOUGHT_NONSENSE",
        "ALSOBOUGHT_PORT",
        "ALSOBOUGHT_THREADS",
    ]


def test_the_data_folder_is_the_warehouse_unless_a_dsn_is_set(tmp_path: Path) -> None:
    assert Settings(data=str(tmp_path)).warehouse_dsn == f"chdb://{tmp_path}"
    assert Settings(data="~/shop").data_folder == Path.home() / "shop"
    assert Settings(data="shop").data_folder.is_absolute()
    assert Settings(data=str(tmp_path), dsn="http://db:8123").warehouse_dsn == "http://db:8123"


def test_lists_are_comma_separated() -> None:
    settings = Settings(cors=" https://a.example,https://b.example , ", event_types="rent")
    assert origins(settings) == ["https://a.example", "https://b.example"]
    assert extra_event_types(settings) == ["rent"]
    assert (origins(Settings()), extra_event_types(Settings())) == ([], [])


def test_a_cluster_needs_its_name_and_its_nodes_and_a_shard_must_be_one_of_them() -> None:
    nodes = {"ALSOBOUGHT_SHARDS": "http://a:8123,http://ann:secret@b:8123|http://c:8123"}
    with pytest.raises(Unusable, match="ALSOBOUGHT_SHARDS is set without ALSOBOUGHT_CLUSTER: a cluster needs both"):
        from_environment(nodes)
    with pytest.raises(Unusable, match="ALSOBOUGHT_SHARD=3: ALSOBOUGHT_SHARDS has 2"):
        from_environment({**nodes, "ALSOBOUGHT_CLUSTER": "shop", "ALSOBOUGHT_SHARD": "3"})
    with pytest.raises(Unusable, match="ALSOBOUGHT_SHARDS is not a list of http") as refused:
        from_environment({"ALSOBOUGHT_SHARDS": "http://ann:secret@b:8123;c", "ALSOBOUGHT_CLUSTER": "shop"})
    assert "secret" not in str(refused.value)
    settings = from_environment({**nodes, "ALSOBOUGHT_CLUSTER": "shop", "ALSOBOUGHT_SHARD": "2"})
    assert settings.warehouse_dsn == "http://ann:secret@b:8123"
    assert not settings.whole_cluster
