"""Settings come from the environment once, each has a sentence, and whatever is wrong is told together."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from alsobought.errors import Unusable
from alsobought.settings import RENAMED, Settings, deprecations, from_environment, more_event_types, origins, sentences
from tests.support.project import ROOT


def test_without_variables_everything_has_its_default() -> None:
    assert from_environment({"PATH": "/bin", "HOME": "/root"}) == Settings()
    assert Settings().home_folder == ROOT
    assert (ROOT / "pipes").is_dir()


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_a_variable_set_to_nothing_is_not_set(name: str) -> None:
    for nothing in ("", " "):
        assert from_environment({f"ALSOBOUGHT_{name.upper()}": nothing}) == Settings()


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_read_and_has_a_sentence(name: str) -> None:
    default = getattr(Settings(), name)
    chosen = {
        "dsn": "chdb:///elsewhere",
        "reader_dsn": "http://reader@elsewhere",
        "record_requests": "False",
        "workbench": "closed",
        "log": "json",
        "log_level": "error",
        "dead_letter_max_ratio": "0.25",
        "event_retention_days": "365",
    }
    given = chosen.get(name) or (f"{default}7" if isinstance(default, str) else str(default + 1))
    settings = from_environment({f"ALSOBOUGHT_{name.upper()}": given})
    read = getattr(settings, name)
    assert str(read) == given
    assert type(read) is type(default)
    assert msgspec.structs.replace(settings, **{name: default}) == Settings()
    assert re.fullmatch(r"(?:[A-Z]|chdb:).{10,}[^ ][.]", sentences()[name])


def test_events_must_outlive_what_recognises_their_repeats() -> None:
    with pytest.raises(
        Unusable, match="ALSOBOUGHT_EVENT_RETENTION_DAYS=7 is not more than ALSOBOUGHT_DEDUP_WINDOW_DAYS=7"
    ):
        from_environment({"ALSOBOUGHT_EVENT_RETENTION_DAYS": "7"})


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


def test_every_sentence_belongs_to_its_setting() -> None:
    assert list(sentences()) == list(Settings.__struct_fields__)
    assert sentences()["port"] == "Port to listen on."
    assert sentences()["query_rows"] == "Rows one pipe may read."


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
def test_a_wrong_value_is_told_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(Unusable, match=f"^ALSOBOUGHT_{name}"):
        from_environment({f"ALSOBOUGHT_{name}": value})


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(Unusable) as raised:
        from_environment({"ALSOBOUGHT_PORT": "x", "ALSOBOUGHT_THREADS": "-1", "ALSOBOUGHT_NONSENSE": "1"})
    assert re.findall(r"ALSOBOUGHT_\w+", str(raised.value)) == [
        "ALSOBOUGHT_NONSENSE",
        "ALSOBOUGHT_PORT",
        "ALSOBOUGHT_THREADS",
    ]


def test_the_folder_is_the_warehouse_unless_a_dsn_says_otherwise(tmp_path: Path) -> None:
    assert Settings(data=str(tmp_path)).warehouse_dsn == f"chdb://{tmp_path}"
    assert Settings(data="~/shop").data_folder == Path.home() / "shop"
    assert Settings(data="shop").data_folder.is_absolute()
    assert Settings(data=str(tmp_path), dsn="http://db:8123").warehouse_dsn == "http://db:8123"


def test_lists_are_comma_separated() -> None:
    settings = Settings(cors=" https://a.example,https://b.example , ", event_types="rent")
    assert origins(settings) == ["https://a.example", "https://b.example"]
    assert more_event_types(settings) == ["rent"]
    assert (origins(Settings()), more_event_types(Settings())) == ([], [])
