"""The page in a real browser: by keyboard, on a laptop and on a phone.

All tests share one service and one browser. After each test the console must be empty, and no other
host may have been contacted.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.experiment_report import IN_TURNS, REPORT
from tests.support.process import ServedProcess, running, serving
from tests.support.project import ROOT, project_folder

LAPTOP, PHONE = {"width": 1366, "height": 768}, {"width": 390, "height": 844}
GREETED = """-- Who was here, the first first.
--
-- :user_id  String?               only this one
-- :limit    UInt8 = 5 (1..50)     how many
-- :since    Date?                 not before
-- :sorted   String = 'up' (up, down)  which way
select user_id, item_id, min(first_time) as first_seen
from user_items
where
    1
    {% if user_id %} and user_id = {{ user_id }} {% endif %}
    {% if since %} and first_time > {{ since }} {% endif %}
group by user_id, item_id
order by {{ sorted }} = 'up', first_seen, user_id, item_id
limit {{ limit }}
"""
CASES = """- it: lists who was here
  given: [{event_type: view, user_id: ada, item_id: tea}]
  answer: [{user_id: ada, item_id: tea}]
- it: fails on purpose
  answer: [{user_id: nobody}]
"""
PRODUCTS = {"tea": "Green tea", "mug": "Stone mug", "pot": "Iron pot", "lamp": "Desk lamp", "honey": "Lime honey"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with one more pipe."""
    home = tmp_path_factory.mktemp("home")
    project_folder(home, "pipes", "sql", "migrations", "tests/pipes")
    (home / "pipes/greeted.sql").write_text(GREETED)
    (home / "tests/pipes/greeted.yaml").write_text(CASES)
    return home


@pytest.fixture(scope="module")
def service(home: Path, migrated_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    """`serve --edit` with a few products and orders."""
    folder = shutil.copytree(migrated_folder, tmp_path_factory.mktemp("served") / "data", symlinks=True)
    with serving(running(folder).at(home), "--edit") as service:
        items = [{"item_id": i, "title": title, "category": "Kitchen", "price": 5} for i, title in PRODUCTS.items()]
        assert service.ask("/items?wait=true", items)[0] == 200
        bought = [("tea", "o1"), ("mug", "o1"), ("tea", "o2"), ("pot", "o2"), ("tea", "o3"), ("pot", "o3")]
        days = {order: datetime.now(UTC) - timedelta(days=ago) for order, ago in (("o1", 2), ("o2", 1), ("o3", 0))}
        lines = [
            {"event_type": "purchase", "user_id": "ada", "item_id": i, "order_id": o, "timestamp": f"{days[o]:%FT%TZ}"}
            for i, o in bought
        ]
        assert service.ask("/events?wait=true", lines)[0] == 200
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or Chrome."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "the browser tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]  # root cannot use the sandbox
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, service: ServedProcess) -> Iterator[Open]:
    """`open_page("#/pipes")`: a new browser context at that URL."""
    contexts: list[Any] = []
    messages: list[str] = []
    hosts: set[str] = set()

    def opened(address: str, size: Any = LAPTOP, **more: Any) -> Page:
        context = browser.new_context(viewport=size, reduced_motion="reduce", **more)
        contexts.append(context)
        page: Page = context.new_page()
        page.set_default_timeout(20_000)
        page.on(
            "console", lambda message: messages.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.goto(f"{service.url}/{address}")
        return page

    expect.set_options(timeout=20_000)
    yield opened
    for context in contexts:
        context.close()
    assert [text for text in messages if "status of 4" not in text] == [], "the page shows 4xx errors itself"
    assert hosts - {"", urlsplit(service.url).netloc} == set()


def editor_of(page: Page) -> Any:
    return page.get_by_role("textbox", name="The file pipes/greeted.sql")


def test_a_pipe_is_found_run_and_read_in_three_formats(open_page: Open) -> None:
    page = open_page("#/pipes")
    expect(page.locator("a.pipe")).to_have_count(1 + len(list((ROOT / "pipes").glob("*.sql"))), timeout=60_000)
    page.keyboard.press("/")
    page.keyboard.type("also_bou")
    expect(page.locator("a.pipe")).to_have_count(4)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="also_bought")).to_be_focused()

    product = page.get_by_role("combobox", name="item_id 1")
    expect(product).to_have_value("Green tea")  # the most bought
    cards = page.locator(".cards .name")
    expect(cards).to_have_text(["Iron pot", "Stone mug", "Desk lamp", "Lime honey"])  # the last two fill the list
    expect(page.locator(".curl code")).to_contain_text("/pipes/also_bought?item_id=tea'")

    product.fill("mug")
    page.get_by_role("option", name="Stone mug").click()  # without pressing Run
    expect(cards).to_have_text(["Green tea", "Iron pot", "Desk lamp", "Lime honey"])
    assert page.url.endswith("#/pipes/also_bought?item_id=mug")
    page.get_by_role("spinbutton", name="limit").fill("1")
    page.keyboard.press("Enter")
    expect(page.locator(".curl code")).to_contain_text("item_id=mug&limit=1")

    page.get_by_role("tab", name="Table").click()
    expect(page.get_by_role("cell", name="Green tea")).to_be_visible()
    more = page.get_by_role("button", name="More rows")
    more.click()
    expect(page.get_by_role("cell", name="Iron pot")).to_be_visible()
    expect(page.get_by_role("cell", name="Green tea")).to_be_visible()
    for rows in (4, 5):
        expect(more).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("region", name="Rows as a table").get_by_role("row")).to_have_count(rows)
    expect(more).to_have_count(0)
    page.get_by_role("tab", name="JSON").click()
    expect(page.get_by_role("region", name="The answer as JSON")).to_contain_text('"other_item_id": "tea"')

    expect(page.get_by_role("region", name="The query", exact=True)).to_contain_text("{item_id:Array(String)}")
    expect(page.get_by_role("region", name="Values bound to the query").get_by_role("cell", name="mug")).to_be_visible()
    page.get_by_role("tab", name="Plan").click()
    expect(page.get_by_role("region", name="Tables read by the query")).to_contain_text("item_companions")
    page.get_by_role("tab", name="Lineage").click()
    expect(page.get_by_role("img", name=re.compile("also_bought reads .*item_companions"))).to_be_visible()

    page.go_back()
    expect(product).to_have_value("Stone mug")
    expect(page.get_by_role("spinbutton", name="limit")).to_have_value("")
    page.go_back()
    expect(product).to_have_value("Green tea")


def test_a_form_has_a_field_for_each_kind_of_value(open_page: Open) -> None:
    page = open_page("#/pipes/greeted?limit=500&sorted=down&since=2020-01-31&user_id=ada")
    expect(page.get_by_role("combobox", name="user_id")).to_have_value("ada")
    expect(page.get_by_role("combobox", name="sorted")).to_have_value("down")
    expect(page.get_by_label("since")).to_have_value("2020-01-31")
    expect(page.get_by_text("'500' is not between 1 and 50", exact=True)).to_be_visible()
    page.get_by_role("spinbutton", name="limit").fill("2")
    page.get_by_role("combobox", name="sorted").select_option("up")
    expect(page.locator(".stats").get_by_text("rows", exact=True)).to_be_visible()
    expect(page.locator(".wrong:visible")).to_have_count(0)
    for label in ("query time", "rows read", "cache", "version", "events up to"):
        expect(page.locator(".stats")).to_contain_text(label)


def test_an_error_is_shown_at_its_line_and_a_corrected_text_is_saved_and_tested(open_page: Open, home: Path) -> None:
    path = home / "pipes/greeted.sql"
    path.write_text(GREETED)
    page = open_page("#/pipes/greeted")
    page.get_by_role("link", name="Edit").click()
    text, save = editor_of(page), page.get_by_role("button", name="Save")
    expect(text).to_have_value(GREETED)
    expect(save).to_be_disabled()

    text.fill(GREETED.replace("group by user_id, item_id", "group by now(), user_id, item_id"))
    expect(page.locator(".line.error")).to_contain_text("group by now()")
    expect(page.locator(".line.error .inline-finding")).to_contain_text("not allowed")
    expect(page.locator(".gutter .error")).to_have_text("13")
    expect(save).to_be_disabled()
    page.get_by_role("button", name="line 13").click()
    expect(text).to_be_focused()

    text.fill(GREETED.replace("as first_seen", "as hello").replace("first_seen,", "hello,"))
    expect(page.get_by_text("No errors. Not saved yet.")).to_be_visible()
    expect(page.locator(".findings")).to_be_empty()
    page.get_by_role("tab", name="Table").click()
    expect(page.get_by_role("columnheader", name="hello")).to_be_visible()  # the preview
    assert path.read_text() == GREETED

    text.press("Control+s")
    expect(page.get_by_text("Saved and live.")).to_be_visible()
    assert "as hello" in path.read_text()
    expect(page.get_by_text("1 of 2 cases failed")).to_be_visible(timeout=60_000)
    expect(page.locator(".cases")).to_contain_text("fails on purpose")

    page.get_by_role("link", name="← greeted").click()
    expect(page.get_by_role("region", name="Rows as a table")).to_contain_text("hello")


def test_tab_indents_and_after_escape_moves_the_focus(open_page: Open, home: Path) -> None:
    pasted = GREETED.replace("how many", "how\N{LINE SEPARATOR}many")
    (home / "pipes/greeted.sql").write_bytes(pasted.replace("\n", "\r\n").encode())
    page = open_page("#/pipes/greeted/edit")
    text = editor_of(page)
    expect(text).to_have_value(pasted)
    expect(page.locator(".signature")).to_have_text([":user_id", ":limit", ":since", ":sorted"])
    text.press("Control+Home")
    page.keyboard.press("Tab")
    expect(text).to_have_value(f"    {pasted}")
    page.keyboard.press("Control+z")
    expect(text).to_have_value(pasted)
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(text).not_to_be_focused()


def test_a_concurrent_save_is_shown_and_nothing_is_lost(open_page: Open, home: Path) -> None:
    path = home / "pipes/greeted.sql"
    path.write_text(GREETED)
    page = open_page("#/pipes/greeted/edit")
    text, save = editor_of(page), page.get_by_role("button", name="Save")
    expect(text).to_have_value(GREETED)
    mine, theirs = GREETED.replace("Who was", "Mine: who was"), GREETED.replace("Who was", "Theirs: who was")
    text.fill(mine)
    expect(save).to_be_enabled()
    path.write_text(theirs)
    save.click()
    expect(page.get_by_role("region", name="Current text of the file")).to_contain_text("Theirs: who was")
    assert path.read_text() == theirs
    expect(text).to_have_value(mine)
    page.get_by_role("button", name="Keep mine").click()
    expect(save).to_be_enabled()
    save.click()
    expect(page.get_by_text("Saved and live.")).to_be_visible()
    assert path.read_text() == mine

    text.fill(GREETED)
    text.press("Control+s")  # before the check is done
    expect(page.get_by_text("Saved and live.")).to_be_visible()
    assert path.read_text() == GREETED


def test_the_list_marks_a_broken_file_whose_last_good_text_answers(open_page: Open, home: Path) -> None:
    path = home / "pipes/greeted.sql"
    path.write_text(GREETED)
    page = open_page("#/pipes/greeted")
    expect(page.get_by_text("ready", exact=True).last).to_be_visible()
    path.write_text(GREETED.replace("from user_items", "from nowhere"))
    page.goto(page.url.split("#")[0] + "#/pipes")
    expect(page.get_by_role("link", name=re.compile("greeted.*stale"))).to_be_visible()
    page.get_by_role("link", name=re.compile("greeted")).click()
    expect(page.get_by_text("the last valid text still answers")).to_be_visible()
    page.get_by_role("tab", name="File").click()
    expect(page.locator(".explanation .findings")).to_contain_text("there is no table nowhere")
    path.write_text(GREETED)


def test_a_bot_that_can_read_learns_that_its_events_are_dropped(open_page: Open) -> None:
    page = open_page("#/shop", user_agent="Googlebot/2.1")
    page.get_by_role("button", name="View", exact=True).click()
    expect(page.locator(".status.wrong")).to_contain_text("this browser is a known bot, Googlebot")


def test_buying_changes_the_shelves_within_a_second(open_page: Open) -> None:
    page = open_page("#/shop")
    shelf = page.get_by_role("region", name="Also bought")
    expect(shelf.get_by_role("button")).to_have_count(4)  # bought together, and fallback rows
    for product in ("Lime honey", "Green tea"):
        page.get_by_role("combobox", name="Product").fill(product)
        page.get_by_role("option", name=product).click()
        if product == "Lime honey":
            page.get_by_role("button", name="Add to cart").click()
            expect(page.locator(".chips")).to_contain_text(product)
    for name in ("Also bought", "For you", "Trending"):
        expect(page.get_by_role("region", name=name).get_by_role("button").first).to_be_visible()
    expect(page.get_by_text("No views yet")).to_be_visible()
    page.get_by_role("button", name="View", exact=True).click()
    expect(page.get_by_role("region", name="Recently viewed").locator(".badge")).to_contain_text("new")
    honey = shelf.get_by_role("button", name=re.compile("Lime honey"))
    expect(honey).to_contain_text("trending")  # the fallback
    trend = page.get_by_role("region", name="Trending")
    before = trend.inner_text()
    page.get_by_role("button", name=re.compile("^Buy")).click()
    expect(honey).to_contain_text("bought together in 1 basket")
    expect(page.get_by_role("region", name="For you")).not_to_contain_text("Lime honey")  # bought products are excluded
    expect(trend).not_to_have_text(before)

    def displayed_milliseconds() -> float:
        """The time from a click to refreshed shelves, as the page shows it."""
        page.get_by_role("button", name=re.compile("^Buy")).click()
        expect(page.locator(".status strong")).to_be_visible()
        shown = re.match(r"([\d.]+) (ms|s)", page.locator(".status strong").inner_text())
        assert shown
        return float(shown[1]) * (1000 if shown[2] == "s" else 1)

    load = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # of other programs on this machine
    assert any(displayed_milliseconds() < 1000 * load for _ in range(5))


def test_the_live_view_shows_new_events_and_polls_only_while_visible(open_page: Open, service: ServedProcess) -> None:
    page = open_page("#/live")
    total = page.locator(".figures div", has_text="events in total").locator("dd")
    expect(total).to_be_visible()
    before = int(total.inner_text().replace(",", ""))
    view = {"event_type": "view", "user_id": "somebody-new", "item_id": "lamp"}
    assert service.ask("/events?wait=true", [view] * 7)[0] == 200
    started = time.monotonic()
    expect(total).to_have_text(f"{before + 7:,}")
    expect(page.locator(".events li", has_text="somebody-new")).to_have_count(7)
    expect(page.locator(".trend")).to_contain_text("Desk lamp")
    assert time.monotonic() - started < 15

    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(300)  # for a request in flight
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.wait_for_timeout(1500)
    assert requested == []
    page.get_by_role("button", name="Resume").click()
    with page.expect_request("**/workbench/live*"):
        pass
    page.get_by_role("link", name="Shop").click()
    requested.clear()
    page.wait_for_timeout(1500)
    assert [url for url in requested if "/workbench/live" in url] == []


VIEWS = [
    "#/shop",
    "#/pipes",
    "#/pipes/also_bought?item_id=tea",
    "#/pipes/also_bought/edit?item_id=tea",
    "#/live",
    "#/metrics",
]


@pytest.mark.parametrize(("size", "scheme"), [(LAPTOP, "light"), (PHONE, "dark")], ids=["laptop", "phone"])
def test_every_view_is_accessible_and_fits_the_screen(
    open_page: Open, service: ServedProcess, size: Any, scheme: str
) -> None:
    page = open_page("#/shop", size, color_scheme=scheme)
    request_id = service.ask("/pipes/also_bought?item_id=tea")[1]["request_id"]
    for view in [*VIEWS, f"#/why/{request_id}"]:
        page.goto(f"{page.url.split('#')[0]}{view}")
        ready = {"#/shop": ".row", "#/pipes": "a.pipe", "#/live": ".trend li", "#/metrics": "#metrics .field"}.get(
            view, ".cards .card"
        )
        ready = ".entries li" if "why" in view else ready
        expect(page.locator(ready).first).to_be_visible()
        if "item_id" in view:
            expect(page.locator(".paint").first).to_be_visible()
        violations = Axe().run(page).response["violations"]
        severe = [(v["id"], v["nodes"][0]["html"]) for v in violations if v["impact"] in ("serious", "critical")]
        assert severe == [], view
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{view} is too wide"


def test_a_browser_without_access_to_the_workbench_gets_answers_only(
    open_page: Open, browser: Browser, service: ServedProcess
) -> None:
    page = open_page("#/pipes/also_bought?item_id=tea", extra_http_headers={"X-Forwarded-For": "203.0.113.9"})
    expect(page.locator(".cards .name").first).to_be_visible()
    expect(page.get_by_role("tab", name="SQL")).to_have_count(0)
    expect(page.get_by_role("link", name="Edit")).to_have_count(0)
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_text("Live events show what users do")).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), [(LAPTOP, "light"), (PHONE, "dark")], ids=["laptop", "phone"])
def test_an_experiment_is_a_sentence_a_picture_and_its_checks(open_page: Open, size: Any, scheme: str) -> None:
    page: Page = open_page("#/experiments", size, color_scheme=scheme)
    expect(page.get_by_text("There is no experiment yet")).to_be_visible(timeout=120_000)
    page.route("**/workbench/experiments/ranked", lambda route: route.fulfill(json=REPORT))
    page.goto(f"{page.url.split('#')[0]}#/experiments/ranked")
    expect(page.get_by_role("status").filter(has_text="ranked wins: +8 % revenue per user")).to_be_visible()
    picture = page.get_by_role("img", name="Lift in revenue per user: +8 % on 14 Dec, between +0.9 % and +15 %")
    expect(picture.first).to_be_visible()
    expect(page.locator("polygon.band")).to_have_count(2)
    expect(page.get_by_role("region", name="Checks")).to_contain_text("3 users saw two variants and are left out")
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.route("**/workbench/experiments/turns", lambda route: route.fulfill(json=IN_TURNS))
    page.goto(f"{page.url.split('#')[0]}#/experiments/turns")
    preference = page.get_by_role("region", name="Preference")
    expect(preference).to_contain_text("won: ranked 242, control 121")
    expect(preference.get_by_role("img", name="Share of the lists won by ranked: 58 % on 14 Dec")).to_be_visible()
    expect(page.get_by_role("region", name="Checks")).to_have_count(0)
    page.get_by_role("link", name="all experiments").click()
    expect(page.get_by_text("There is no experiment yet")).to_be_visible()
