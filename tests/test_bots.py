"""Events of known bots are dropped and counted, wherever they arrive; those of people and of backends are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from msgspec import UNSET

from alsobought.bots import PEOPLE
from alsobought.diagnostics import bot_checks
from alsobought.diagnostics.bot_checks import check_bots, check_users
from alsobought.errors import PipeFault
from alsobought.events import Event
from alsobought.formats.reading import read_objects
from alsobought.kafka.batches import split_by_partition
from alsobought.kafka.client import Topic
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.row_converter import row_reader
from alsobought.pipes.bot_file import bots_of, parse_bots
from alsobought.pipes.intake_rules import intake_rules
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.web.factory import create_app
from alsobought.writer.submission import Submission, utc_now
from tests.conftest import NOON
from tests.support.project import ROOT
from tests.support.web import VIEW, emptied, rejected, stored

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
UPTIME = "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"
HEADLESS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36"
)
BROWSER = PEOPLE[0]
HEADER = "bot String (3..200)\n"
TRACK: dict[str, Any] = {"type": "track", "event": "Product Viewed", "userId": "ada", "messageId": "m1"}
TRACK |= {"properties": {"product_id": "tea"}}
GA4 = {"client_id": "1.2", "events": [{"name": "view_item", "params": {"items": [{"item_id": "tea"}]}}]}
SNOWPLOW = {
    "event_name": "add_to_cart",
    "collector_tstamp": "2026-01-01T11:00:00Z",
    "domain_userid": "d7",
    "unstruct_event_com_snowplowanalytics_snowplow_add_to_cart_1": {"sku": "tea", "quantity": 1},
}


def of(agent: str, **event: Any) -> dict[str, Any]:
    """An event that a backend sends for a browser with this user agent."""
    return {**VIEW, **event, "properties": {"user_agent": agent}}


def from_agent(call: dict[str, Any], agent: str) -> dict[str, Any]:
    """A call of Segment with this user agent."""
    return {**call, "context": {"userAgent": agent}}


@pytest.fixture(scope="module")
def filled(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop()


@pytest.fixture
def shop(filled: Service) -> Service:
    return emptied(filled)


def post(client: FlaskClient, body: Any, agent: str = "", path: str = "/events") -> tuple[int, dict[str, Any]]:
    """Status and answer, without what is not about bots."""
    got = client.post(f"{path}?wait=true", json=body, headers={"User-Agent": agent})
    answer = json.loads(got.text)
    names = ("accepted", "dropped", "dropped_bots", "rejected_total")
    return got.status_code, {name: answer[name] for name in names if name in answer}


DROPPED = {"accepted": 0, "dropped": 1, "rejected_total": 0}

# The list


@pytest.mark.parametrize(
    ("agent", "bot"),
    [
        (GOOGLEBOT, "Googlebot"),
        (GOOGLEBOT.upper(), "Googlebot"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bingbot"),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "AhrefsBot"),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)", "GPTBot"),
        (UPTIME, "UptimeRobot"),
        ("Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", "Pingdom"),
        ("Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)", "Sogou*spider"),
        ("NewBot/1.0 (+https://new.example)", "bot/"),
    ],
)  # fmt: skip
def test_known_bots_are_recognized(agent: str, bot: str) -> None:
    assert bots_of(ROOT).name_of(agent) == bot


@pytest.mark.parametrize(
    "agent",
    [
        *PEOPLE,
        HEADLESS,  # in the file as a comment, since tests of a shop are that
        *("python-requests/2.32.3", "curl/8.5.0", "okhttp/4.12.0", "Go-http-client/2.0", "axios/1.7.2", "Java/17.0.1"),
        *("Segment.io/1.0", "RudderLabs", "GuzzleHttp/7", "Dart/3.1 (dart:io)", "node", "Apache-HttpClient/4.5", ""),
        "Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36 [FBAN/FB4A;FBAV/500.0]",
    ],
)
def test_browsers_apps_and_libraries_of_backends_are_none(agent: str) -> None:
    assert bots_of(ROOT).name_of(agent) == ""


def test_a_shop_changes_the_list_while_it_runs(tmp_path: Path) -> None:
    assert bots_of(tmp_path).patterns == bots_of(ROOT).patterns, "without the file, that of the package"
    (tmp_path / "sql").mkdir()
    path = tmp_path / "sql" / "bots.csv"
    path.write_text(f"{HEADER}shop-monitor\n")
    assert bots_of(tmp_path).name_of("Shop-Monitor/3") == "shop-monitor"
    assert bots_of(tmp_path).name_of(GOOGLEBOT) == ""
    path.write_text(f"{HEADER}shop-monitor\nmozilla\n")
    assert bots_of(tmp_path).patterns == ("shop-monitor",), "the last valid list"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{HEADER}mozilla\n", r"line 2: mozilla matches browsers of people: Mozilla/5\.0 .*\. Write the name of the bot"),
        (f"{HEADER}a*b\n", r"line 2: a\*b is too short\. Write at least 3 characters besides \*"),
        ("agent String\nGooglebot\n", r"has the columns agent\. It needs one, bot"),
    ],
)  # fmt: skip
def test_a_list_that_would_drop_people_is_refused(text: str, problem: str) -> None:
    with pytest.raises(PipeFault, match=problem):
        parse_bots(text)


# HTTP


def test_a_bots_events_are_answered_202_and_not_stored(client: FlaskClient, shop: Service) -> None:
    assert post(client, [VIEW, VIEW], GOOGLEBOT) == (
        200,
        {"accepted": 0, "dropped": 2, "dropped_bots": ["Googlebot"], "rejected_total": 0},
    )
    assert client.post("/events", json=VIEW, headers={"User-Agent": GOOGLEBOT}).status_code == 202
    assert post(client, VIEW, "python-requests/2.32.3") == (200, {"accepted": 1, "rejected_total": 0})
    assert stored(shop, "user_id, properties") == [["u", ""]]


def test_the_user_agent_of_an_event_counts_before_that_of_the_request_and_is_not_stored(
    client: FlaskClient, shop: Service
) -> None:
    events = [
        of(BROWSER, user_id="person") | {"properties": {"user_agent": BROWSER, "place": "Turku"}},
        of(BROWSER, user_id="other"),
        of(UPTIME, user_id="monitor"),
        {**VIEW, "user_id": "plain"},
    ]
    answer = {"accepted": 3, "dropped": 1, "dropped_bots": ["UptimeRobot"], "rejected_total": 0}
    assert post(client, events, "okhttp/4.12.0") == (200, answer)
    assert stored(shop, "user_id, properties") == [["person", '{"place":"Turku"}'], ["other", ""], ["plain", ""]]
    answer = {"accepted": 2, "dropped": 2, "dropped_bots": ["UptimeRobot", "Googlebot"], "rejected_total": 0}
    assert post(client, events, GOOGLEBOT) == (200, answer)


def test_faulty_events_of_a_bot_are_dropped_too(client: FlaskClient, shop: Service) -> None:
    """It keeps no cookies, so pages have no id for it."""
    without_id = {"event_type": "view", "item_id": "tea", "user_id": "undefined"}
    assert post(client, [without_id, VIEW], GOOGLEBOT)[1]["dropped"] == 2
    assert post(client, without_id | {"properties": {"user_agent": UPTIME}}) == (
        200,
        DROPPED | {"dropped_bots": ["UptimeRobot"]},
    )
    response = client.post("/events", json=[without_id, VIEW])
    assert [index for index, _ in rejected(response)] == [0], "of anybody else they are rejected"
    assert client.post("/events", data=b"nonsense", headers={"User-Agent": BROWSER}).status_code == 400


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/events/segment", from_agent(TRACK, GOOGLEBOT)),
        ("/events/ga4", {**GA4, "user_agent": GOOGLEBOT}),
        ("/events/snowplow", {**SNOWPLOW, "useragent": GOOGLEBOT}),
    ],
)
def test_calls_of_bots_are_dropped_by_the_agent_that_the_tool_passes_on(
    client: FlaskClient, shop: Service, path: str, call: dict[str, Any]
) -> None:
    for address in (path, "/events"):
        status, answer = post(client, call, "Segment.io/1.0", address)
        assert (status, answer) == (200, DROPPED | {"dropped_bots": ["Googlebot"]}), address
    assert stored(shop) == []
    name = next(name for name in ("context", "user_agent", "useragent") if name in call)
    person = {**call, name: {"userAgent": BROWSER} if name == "context" else BROWSER}
    assert post(client, person, "Segment.io/1.0", path)[1]["accepted"] == 1


def test_a_webhook_drops_call_by_call_and_merges_no_guest_for_a_bot(client: FlaskClient, shop: Service) -> None:
    login = {"type": "identify", "userId": "ada", "anonymousId": "device-7"}
    page = {"type": "page", "userId": "ada"}
    calls = [from_agent(call, agent) for call in (TRACK, login, page) for agent in (GOOGLEBOT, BROWSER)]
    got = client.post("/events/segment?wait=true", json={"batch": [*calls, {"type": "track"}]})
    answer = json.loads(got.text)
    counts = {name: answer[name] for name in ("accepted", "dropped", "skipped", "merged", "rejected_total")}
    assert counts == {"accepted": 1, "dropped": 3, "skipped": 2, "merged": 1, "rejected_total": 0}


def test_the_metric_and_the_table_count_by_the_name_in_the_list(client: FlaskClient, shop: Service) -> None:
    for agent in (GOOGLEBOT, f"{GOOGLEBOT} again", UPTIME):
        post(client, VIEW, agent)
    page = client.get("/metrics").text
    assert 'alsobought_dropped_events_total{bot="Googlebot"} 2.0' in page
    assert 'alsobought_dropped_events_total{bot="UptimeRobot"} 1.0' in page
    shop.drop_log.flush()
    post(client, VIEW, UPTIME)
    shop.drop_log.flush()
    sql = f"select bot, sum(events) from {shop.settings.database}.dropped_events group by bot order by bot"
    assert shop.warehouse.trusted_rows(sql).data == [["Googlebot", 2], ["UptimeRobot", 2]]
    (finding,) = check_bots(shop.warehouse, shop.settings)
    assert (finding.state, finding.message) == (
        "ok",
        "4 events dropped in the last day: Googlebot (2), UptimeRobot (2)",
    )


def test_a_setting_lets_everything_in(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(drop_bots=False)
    client = create_app(shop).test_client()
    assert post(client, of(UPTIME), GOOGLEBOT) == (200, {"accepted": 1, "rejected_total": 0})
    assert stored(shop, "user_id, properties") == [["u", json.dumps({"user_agent": UPTIME}, separators=(",", ":"))]]
    (finding,) = check_bots(shop.warehouse, shop.settings)
    assert finding.message.startswith("ALSOBOUGHT_DROP_BOTS is false")


# Kafka and files


class Polled:
    def __init__(self, offset: int, body: dict[str, Any]) -> None:
        self._offset, self._body = offset, body

    def topic(self) -> str:
        return "events"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return json.dumps(self._body).encode()

    def timestamp(self) -> tuple[int, int]:
        return 1, 0


def test_messages_of_kafka_are_dropped_and_count_as_skipped() -> None:
    order = {"type": "track", "event": "Order Completed", "userId": "ada", "messageId": "m2"}
    order["properties"] = {"order_id": "o1", "products": [{"product_id": "tea"}]}  # type: ignore[assignment]
    login = from_agent({"type": "identify", "userId": "ada", "anonymousId": "device-7"}, GOOGLEBOT)
    mixed = {"batch": [from_agent(TRACK, GOOGLEBOT), order]}
    bodies = [of(GOOGLEBOT), of(BROWSER), from_agent(TRACK, UPTIME), login, mixed]
    messages = [Polled(number, body) for number, body in enumerate(bodies)]
    rules = intake_rules(Settings(home=str(ROOT)), NOON)
    (batch,) = split_by_partition(messages, {"events": Topic("events", "x", 1)}, {("events", 0): 0}, rules, NOON)
    assert [row.item_id for row in batch.submission.rows if isinstance(row, Event)] == ["tea", "tea"]
    assert (batch.submission.offsets, batch.skipped, batch.merges) == ([1, 4], 3, [])
    assert [dropped.bot for dropped in batch.dropped] == ["Googlebot", "UptimeRobot", "Googlebot", "Googlebot"]
    consumed = batch.consumed(2, NOON)
    assert (consumed.messages, consumed.stored, consumed.duplicates, consumed.skipped) == (5, 2, 0, 3)


def test_rows_of_files_are_dropped_as_they_are_and_with_columns() -> None:
    rules = intake_rules(Settings(home=str(ROOT)), NOON)
    objects = [json.dumps(row).encode() for row in (of(GOOGLEBOT), of(BROWSER), from_agent(TRACK, UPTIME))]
    read = row_reader("events", ColumnMapping(), rules)(objects)
    assert (len(read.accepted), read.indexes, read.dropped, read.skipped) == (1, [1], 2, 0)
    cells = [VIEW | {"user_agent": agent} for agent in (UPTIME, BROWSER, "")]
    read = row_reader("events", ColumnMapping(keep_rest=True), rules)(cells)
    assert (len(read.accepted), read.indexes, read.dropped) == (2, [1, 2], 1)
    assert [event.properties for event in read.accepted] == [UNSET, UNSET]


def test_without_bots_the_user_agent_of_an_event_is_left_where_it_is() -> None:
    rules = intake_rules(Settings(home=str(ROOT), drop_bots=False), NOON, GOOGLEBOT)
    (decoded,) = read_objects([json.dumps(of(GOOGLEBOT)).encode()], rules)
    assert not isinstance(decoded, str)
    assert decoded.events[0].properties == {"user_agent": GOOGLEBOT}


# Loud users


def test_doctor_names_users_with_far_more_events_than_others(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot_checks, "MIN_EVENTS", 100)
    shop.writer.clock = utc_now

    def views(user: str, count: int, item: str, hours: float = 1) -> list[Event]:
        at = datetime(2026, 1, 1, 12, tzinfo=UTC) - timedelta(hours=hours)
        return [Event(event_type="view", user_id=user, item_id=item, timestamp=at) for _ in range(count)]

    people = [event for number in range(50) for event in views(f"u{number}", 1 + number % 4, "tea")]
    shop.writer.submit(Submission(people)).result()
    (finding,) = check_users(shop.warehouse)
    assert (finding.state, finding.message) == ("ok", "50 in 24 hours, none with far more events than others")
    loud = [*views("it's me", 190, "home"), *views("it's me", 10, "tea"), *views("second", 100, "cup")]
    yesterday = views("u1", 500, "tea", hours=30)
    shop.writer.submit(Submission([*loud, *yesterday])).result()
    first, second = check_users(shop.warehouse)
    assert (first.state, first.message) == (
        "warning",
        "\"it's me\" has 200 events of 24 hours, 47% of all; 190 of them are on 'home'",
    )
    assert first.advice == (
        "If that is no person: `alsobought forget 'it'\"'\"'s me'`, and add its user agent to sql/bots.csv,"
        " or have it send no events"
    )
    assert second.message.startswith("'second' has 100 events")


def test_users_of_a_shop_in_which_everybody_is_busy_are_not_named(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot_checks, "MIN_EVENTS", 10)
    events = [Event(event_type="view", user_id=f"u{number % 20}", item_id="tea") for number in range(400)]
    events += [Event(event_type="view", user_id="keen", item_id="tea") for _ in range(399)]
    shop.writer.submit(Submission(events)).result()
    assert [finding.state for finding in check_users(shop.warehouse)] == ["ok"], "399 are not 20 times 20"
    shop.writer.submit(Submission([Event(event_type="view", user_id="keen", item_id="tea")])).result()
    assert [finding.state for finding in check_users(shop.warehouse)] == ["warning"]
