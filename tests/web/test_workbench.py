"""The endpoints of the workbench and the editor: content, access control, editing."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from alsobought.errors import NotSaved, Unusable
from alsobought.kafka.ingest_status import Outcomes, PartitionLag, Status
from alsobought.pipes.source_file import read_source, save
from alsobought.service.monitor import Monitor
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.web.case_runner import run_cases
from alsobought.web.factory import create_app
from tests.support.process import assert_error, running
from tests.support.project import project_folder
from tests.support.web import VIEW, buy, error_of

pytestmark = pytest.mark.embedded
GOOD = "-- Who is there.\nselect user_id\nfrom user_items\norder by user_id\nlimit 10\n"
BROKEN = GOOD.replace("from user_items", "from user_itmes")
ABOUT = "/workbench/pipes/also_bought"
OURS = {"X-Workbench": "1"}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder of its own."""
    home = tmp_path_factory.mktemp("home")
    project_folder(home)
    return home


@pytest.fixture(scope="module")
def served(home: Path, make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop(home=str(home), cors="https://friend.example")


@pytest.fixture
def people(home: Path) -> Path:
    """The file of a pipe."""
    path = home / "pipes" / "people.sql"
    path.write_text(GOOD)
    return path


@pytest.fixture
def editor(served: Service, people: Path) -> FlaskClient:
    """The endpoints of `serve --edit`."""
    return create_app(served, edit=True).test_client()


def opened_with(client: FlaskClient, path: str, **headers: str) -> Any:
    return client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def body(got: TestResponse, status: int = 200) -> dict[str, Any]:
    assert got.status_code == status, got.text
    content: dict[str, Any] = json.loads(got.text)
    return content


def change(client: FlaskClient, what: str, draft: dict[str, Any], name: str = "people", **headers: str) -> TestResponse:
    return client.post(f"/workbench/pipes/{name}/{what}", json=draft, headers={**OURS, **headers})


def hash_of(client: FlaskClient) -> str:
    return str(body(client.get("/workbench/pipes/people"))["hash"])


# Viewing


def test_a_pipe_is_shown_with_its_text_and_lineage(editor: FlaskClient, home: Path) -> None:
    shown = body(editor.get("/workbench/pipes/also_bought"))
    assert shown["text"] == (home / "pipes/also_bought.sql").read_text()
    assert shown["findings"] == []
    made = shown["serving"]
    assert (made["fallback"], made["cache_seconds"], made["cache_until"]) == ("trending", 300, "item_id")
    assert made["lineage"]["columns"]["title"][0] == "catalogue.title"


def test_the_sql_of_a_request_is_shown_with_its_values(editor: FlaskClient) -> None:
    shown = body(editor.get("/workbench/pipes/also_bought/sql?item_id=tea&item_id=mug&category=Kitchen"))
    assert "{category:String}" in shown["sql"]
    assert {bound["name"]: bound["value"] for bound in shown["values"]} == {
        "item_id": ["tea", "mug"],
        "limit": 10,
        "min_baskets": 1,
        "category": "Kitchen",
        "now": "2026-01-01T12:00:00Z",
    }
    assert error_of(editor.get("/workbench/pipes/also_bought/sql?limit=0"))["code"] == "bad_parameters"


def test_the_plan_of_a_request_shows_the_tables_read(editor: FlaskClient) -> None:
    buy(editor, "o1", "tea", "tin")
    plan = body(editor.get(f"{ABOUT}/plan?item_id=tea"))
    (read,) = [table for table in plan["tables"] if table["table"] == "item_companions"]
    assert (read["whole"], read["keys"], read["granules"]) == (False, ["item_key"], None)
    plan = body(editor.get(f"{ABOUT}/plan?item_id=tea&category=Tea"))
    (read,) = [table for table in plan["tables"] if table["table"] == "co_baskets"]
    assert (read["whole"], read["keys"], read["granules"]) == (False, ["item_key"], {"read": 1, "of": 1})
    assert plan["statistics"]["rows_read"] >= 1


def test_a_broken_file_is_shown_with_its_findings_while_the_last_good_text_answers(
    editor: FlaskClient, people: Path
) -> None:
    assert editor.get("/pipes/people").status_code == 200
    people.write_text(BROKEN)
    shown = body(editor.get("/workbench/pipes/people"))
    assert shown["text"] == BROKEN
    assert [finding["severity"] for finding in shown["findings"]] == ["error"]
    assert "user_itmes" in shown["findings"][0]["message"]
    assert shown["serving"]["columns"] == [{"name": "user_id", "type": "String"}]
    assert editor.get("/pipes/people").status_code == 200


def test_new_events_are_counted_and_listed_newest_first(make_shop: Callable[..., Service]) -> None:
    client = create_app(make_shop()).test_client()
    assert body(client.get("/workbench/live"))["newest"] == []
    client.post("/items?wait=true", json={"item_id": "tea", "title": "Green tea"})
    client.post("/events?wait=true", json=[VIEW, VIEW | {"user_id": "v"}])
    client.post("/events?wait=true", json=VIEW | {"item_id": "mug", "timestamp": "2026-01-01T11:59:58Z"})
    client.application.extensions["live_events"]._reuse_until = 0.0
    live = body(client.get("/workbench/live"))
    assert (live["total"], live["waiting"], live["kafka"]) == (3, 0, None)
    assert (len(live["per_second"]), live["per_second"][-1], sum(live["per_second"])) == (60, 3, 3)
    assert [(event["item_id"], event["title"], event["user_id"], event["delay"]) for event in live["newest"]] == [
        ("mug", "", "u", 2.0),
        ("tea", "Green tea", "v", 0.0),
        ("tea", "Green tea", "u", 0.0),
    ]


def test_the_newest_events_are_the_newest_of_many_batches(make_shop: Callable[..., Service]) -> None:
    client = create_app(make_shop()).test_client()
    client.post("/events?wait=true", json=[VIEW | {"item_id": f"old-{number}"} for number in range(50)])
    for number in range(3):
        client.post("/events?wait=true", json=VIEW | {"item_id": f"new-{number}"})
    newest = [event["item_id"] for event in body(client.get("/workbench/live"))["newest"]]
    assert newest[:4] == ["new-2", "new-1", "new-0", "old-49"]
    assert len(newest) == 30


def test_the_live_status_includes_trending_without_recording_a_request(make_shop: Callable[..., Service]) -> None:
    shop = make_shop()
    client = create_app(shop).test_client()
    client.post("/events?wait=true", json=[{**VIEW, "user_id": user} for user in ("ada", "bob", "cem")])
    live = body(client.get("/workbench/live?pipe=trending&limit=8"))
    assert [(row["item_id"], row["events"]) for row in live["answer"]["data"]] == [("tea", 3)]
    for query in ("", "?pipe=nothing", "?pipe=trending&limit=0"):
        assert "answer" not in body(client.get(f"/workbench/live{query}"))
    assert shop.request_log
    shop.request_log.flush()
    assert shop.warehouse.trusted_rows(f"select count() from {shop.warehouse.database}.requests").data == [[0]]


def test_the_kafka_status_is_that_of_the_monitor(served: Service) -> None:
    none = Outcomes(0, 0, 0, 0, 0, 0)
    status = Status(
        partitions=[PartitionLag("kafka:events:x", "events", 0, 7, 10, 3)],
        lag=3,
        without_kafka="",
        events_per_second=0,
        events_per_batch=0,
        last_hour=none,
        ever=none,
        dead_letters=2,
        newest_event=None,
        seconds_since=None,
        alarms=[],
    )
    monitor = cast(Monitor, SimpleNamespace(status=status, alarms=["offsets were left out"], checked=None))
    live = body(create_app(served, monitor).test_client().get("/workbench/live"))
    assert (live["kafka"]["lag"], live["kafka"]["dead_letters"]) == (3, 2)
    assert live["kafka"]["partitions"][0]["lag"] == 3
    assert live["alarms"] == ["offsets were left out"]


def test_cache_status_shows_hit_or_miss(editor: FlaskClient) -> None:
    path = "/pipes/also_bought?item_id=cached"
    assert [editor.get(path).headers["Cache-Status"] for _ in range(2)] == ["alsobought; fwd=miss", "alsobought; hit"]


# Access

INSIDE = [ABOUT, f"{ABOUT}/sql?item_id=tea", f"{ABOUT}/plan?item_id=tea", "/workbench/live"]


def open_to(shop: Service, **headers: str) -> set[int]:
    client = create_app(shop).test_client()
    permissions = body(opened_with(client, "/workbench", **headers))
    statuses = {opened_with(client, path, **headers).status_code for path in INSIDE}
    assert permissions["open"] == (statuses == {200})
    return statuses


def test_browsers_on_this_machine_may_view_the_workbench(served: Service) -> None:
    for host in ("localhost:8080", "127.0.0.1", "[::1]:8080"):
        assert open_to(served, Host=host) == {200}


def test_a_proxy_is_not_this_machine(served: Service) -> None:
    """It may forward foreign requests."""
    assert open_to(served, Host="localhost", X_Forwarded_For="203.0.113.9") == {403}


def test_a_proxy_without_headers_is_not_this_machine(served: Service) -> None:
    """nginx by default: HTTP/1.0, and the address of the service as Host."""
    client = create_app(served).test_client()
    headers = {"Host": "127.0.0.1:8080"}
    assert client.get("/workbench/live", headers=headers).status_code == 200
    for environ in ({"SERVER_PROTOCOL": "HTTP/1.0"}, {"REMOTE_ADDR": "203.0.113.9"}):
        assert client.get("/workbench/live", headers=headers, environ_overrides=environ).status_code == 403


def test_a_public_service_shows_the_workbench_only_if_configured(make_shop: Callable[..., Service]) -> None:
    assert open_to(make_shop(host=EVERYWHERE, access="open"), Host="localhost") == {403}
    opened = make_shop(host=EVERYWHERE, access="open", workbench="open", allowed_hosts="shop.example")
    assert open_to(opened, Host="shop.example") == {200}
    assert open_to(make_shop(workbench="closed"), Host="localhost") == {403}


def test_no_other_origin_can_read_the_workbench(served: Service) -> None:
    client = create_app(served, edit=True).test_client()
    friend = {"Origin": "https://friend.example"}
    assert "Access-Control-Allow-Origin" in client.get("/pipes", headers=friend).headers
    for path in ("/workbench", *INSIDE):
        assert "Access-Control-Allow-Origin" not in client.get(path, headers=friend).headers
    asks = friend | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-workbench"}
    got = client.options("/workbench/pipes/people/save", headers=asks)
    assert "Access-Control-Allow-Origin" not in got.headers


# Editing


def test_serve_edit_refuses_a_public_address(tmp_path: Path) -> None:
    run = running(tmp_path / "data")
    for words in (("serve", "--edit"), ("demo", "--dataset", "toyshop", "--edit")):
        assert_error(
            run(*words, ALSOBOUGHT_HOST=EVERYWHERE, ALSOBOUGHT_ACCESS="open"),
            "--edit on 0.0.0.0",
            "--role analyst",
        )
    assert list(tmp_path.iterdir()) == []


def test_a_host_listed_for_editing_may_edit(make_shop: Callable[..., Service], home: Path, people: Path) -> None:
    shop = make_shop(home=str(home), host=EVERYWHERE, access="open", edit_hosts="Shop.example")
    client = create_app(shop, edit=True).test_client()
    there = {"Host": "shop.example", "Origin": "https://shop.example"}
    assert body(client.get("/workbench", headers=there))["edit"] is True
    assert body(change(client, "draft", {"text": GOOD}, **there))["findings"] == []
    assert change(client, "draft", {"text": GOOD}, Host="other.example").status_code == 421


def test_without_edit_there_are_no_editor_endpoints(served: Service, people: Path) -> None:
    client = create_app(served).test_client()
    assert body(client.get("/workbench"))["edit"] is False
    for what in ("draft", "preview", "save", "cases"):
        assert error_of(change(client, what, {"text": GOOD}))["code"] == "not_found"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Forwarded-For": "203.0.113.9"},
    ],
)
def test_only_our_own_page_may_edit(editor: FlaskClient, people: Path, headers: dict[str, str]) -> None:
    draft = {"text": GOOD + "\n", "based_on": hash_of(editor)}
    for what in ("draft", "preview", "save", "cases"):
        got = change(editor, what, draft, **headers)
        assert (got.status_code, error_of(got)["code"]) == (403, "not_allowed")
    assert people.read_text() == GOOD


def test_a_form_of_another_origin_cannot_edit(editor: FlaskClient, people: Path) -> None:
    """It cannot send our header, nor JSON."""
    draft = json.dumps({"text": GOOD + "\n", "based_on": hash_of(editor)})
    path = "/workbench/pipes/people/save"
    assert editor.post(path, data=draft, content_type="application/json").status_code == 403
    assert editor.post(path, data=draft, content_type="text/plain", headers=OURS).status_code == 400
    assert people.read_text() == GOOD


def test_a_draft_is_checked_without_being_saved(editor: FlaskClient, people: Path) -> None:
    good = body(
        change(
            editor,
            "draft",
            {
                "text": GOOD.replace("10", "{{ many }}").replace(
                    ".\n", ".\n--\n-- :many  UInt8 = 3 (1..9)  how many\n", 1
                )
            },
        )
    )
    assert good["findings"] == []
    assert [(p["name"], p["maximum"]) for p in good["pipe"]["parameters"]] == [("many", 9)]
    bad = body(change(editor, "draft", {"text": BROKEN}))
    assert bad["pipe"] is None
    assert [finding["severity"] for finding in bad["findings"]] == ["error"]
    assert people.read_text() == GOOD
    assert "user_id" in editor.get("/pipes/people").text


def test_a_preview_answers_with_the_unsaved_text(editor: FlaskClient) -> None:
    editor.post("/events?wait=true", json=VIEW)
    text = "-- Items.\n--\n-- :many  UInt8 = 3 (1..9)  how many\nselect item_id\nfrom user_items\n"
    text += "order by item_id\nlimit {{ many }}\n"
    shown = body(change(editor, "preview", {"text": text, "parameters": {"many": ["1"]}}))
    assert (shown["data"], shown["rows"]) == ([{"item_id": "tea"}], 1)
    refusal = error_of(change(editor, "preview", {"text": text, "parameters": {"many": ["77"]}}))
    assert refusal["details"][0]["param"] == "many"
    assert error_of(change(editor, "preview", {"text": BROKEN}))["code"] == "not_saved"


def test_a_saved_text_answers_the_next_request(editor: FlaskClient, people: Path) -> None:
    text = GOOD.replace("Who is there", "Who is here: é 🍵")
    people.chmod(0o640)
    saved = body(change(editor, "save", {"text": text, "based_on": hash_of(editor)}))
    assert people.read_text() == text
    assert people.stat().st_mode & 0o777 == 0o640
    assert saved["hash"] == hash_of(editor)
    assert json.loads(editor.get("/pipes/people").text)["pipe"]["version"] == saved["version"]
    assert [path.name for path in people.parent.iterdir() if path.name.startswith(".")] == []


def test_a_text_with_an_error_is_not_saved(editor: FlaskClient, people: Path) -> None:
    got = change(editor, "save", {"text": BROKEN, "based_on": hash_of(editor)})
    assert (got.status_code, error_of(got)["code"]) == (409, "not_saved")
    assert "user_itmes" in error_of(got)["message"]
    assert people.read_text() == GOOD


def test_a_concurrent_save_is_not_overwritten(editor: FlaskClient, people: Path) -> None:
    seen = hash_of(editor)
    theirs = GOOD.replace("Who is there", "Theirs")
    people.write_text(theirs)
    got = change(editor, "save", {"text": GOOD + "\n", "based_on": seen})
    assert (got.status_code, error_of(got)["code"]) == (409, "not_saved")
    assert "changed by somebody else" in error_of(got)["message"]
    assert people.read_text() == theirs
    assert change(editor, "save", {"text": GOOD + "\n"}).status_code == 409, "based_on is required"


def test_a_file_with_crlf_is_edited_with_normalised_line_endings(editor: FlaskClient, people: Path) -> None:
    people.write_bytes(GOOD.replace("\n", "\r\n").encode())
    shown = body(editor.get("/workbench/pipes/people"))
    assert (shown["text"], shown["hash"]) == (GOOD, sha256(people.read_bytes()).hexdigest())
    assert change(editor, "save", {"text": GOOD, "based_on": shown["hash"]}).status_code == 200


def test_of_concurrent_saves_one_wins(home: Path, people: Path) -> None:
    seen = read_source(people.parent, "people").hash

    def save_once(number: int) -> bool:
        try:
            save(people.parent, "people", f"{GOOD}-- {number}\n", seen)
        except NotSaved:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(save_once, range(8))) == 1


def test_a_symlink_is_not_replaced_by_a_file(editor: FlaskClient, people: Path) -> None:
    elsewhere = people.with_name("shared.txt")
    people.replace(elsewhere)
    people.symlink_to(elsewhere)
    try:
        got = change(editor, "save", {"text": GOOD + "\n", "based_on": hash_of(editor)})
        assert error_of(got)["code"] == "not_saved"
        assert people.is_symlink()
        assert elsewhere.read_text() == GOOD
    finally:
        people.unlink()
        elsewhere.unlink()


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "..%2Fsql%2Fmacros%2Fcatalogue",
        "../people",
        "people.sql",
        ".people",
        "people%00",
        "a" * 300,
        "%2Fetc%2Fpasswd",
    ],
)
def test_only_pipes_of_the_folder_can_be_addressed(editor: FlaskClient, home: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*.sql")}
    for what in ("draft", "preview", "save", "cases"):
        got = change(editor, what, {"text": GOOD}, name)
        assert got.status_code == 404, got.text
    assert editor.get(f"/workbench/pipes/{name}").status_code == 404
    assert {path: path.read_bytes() for path in home.rglob("*.sql")} == before


def test_texts_and_bodies_have_a_size_limit(editor: FlaskClient, people: Path) -> None:
    long = GOOD + "-- x\n" * 50_000
    assert error_of(change(editor, "save", {"text": long, "based_on": hash_of(editor)}))["code"] == "not_saved"
    assert error_of(change(editor, "draft", {"text": "x" * 1_000_000}))["code"] == "too_large"
    others: list[Any] = [{}, {"text": 7}, {"text": GOOD, "path": "/etc/passwd"}, []]
    for wrong in others:
        assert error_of(editor.post("/workbench/pipes/people/draft", json=wrong, headers=OURS))["code"] == "bad_request"
    assert people.read_text() == GOOD


@pytest.mark.parametrize(
    "text", ["", "\0", "{{", "{% if", "-- x.\n" + "(" * 5000, "-- x.\nselect 1;drop table events", "\ud800"]
)
def test_an_unparsable_text_is_a_finding(editor: FlaskClient, text: str) -> None:
    got = change(editor, "draft", {"text": text})
    if text == "\ud800":
        assert got.status_code == 400
    else:
        assert body(got)["findings"][0]["severity"] == "error"


def test_a_pipe_without_cases_has_no_results(editor: FlaskClient) -> None:
    assert body(change(editor, "cases", {}))["cases"] == []


def test_cases_run_with_this_package_in_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alsobought.py").write_text("raise SystemExit('another project')")
    cases = tmp_path / "home" / "tests" / "pipes" / "people.yaml"
    cases.parent.mkdir(parents=True)
    cases.write_text("- it: says nothing\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unusable, match=r"people\.yaml: 'says nothing' has neither answer nor error"):
        run_cases(Settings(home="home"), "people")
