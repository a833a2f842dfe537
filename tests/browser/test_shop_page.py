"""The kit on the pages of a shop, which are of another origin than the service: the pages of docs/tutorials/shop-page.md.

Service and browser are shared; each test has a browser context of its own, and so another guest.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.test_workbench import LAPTOP, PHONE
from tests.browser.test_workbench import browser as browser  # noqa: PLC0414 - a fixture
from tests.support.process import running, serving
from tests.support.project import ROOT, project_folder

ADMIN = "k" * 40
PAGE = (ROOT / "docs" / "tutorials" / "shop-page.md").read_text()
NODE = ROOT / "tests" / "clients" / "node_modules"
RECORDED = """-- What the pages have sent.
select
    seq, event_type, item_id, user_id, session_id, position, recommendation_id, placement != 0 as is_valid
from events
order by seq, item_id
limit 1000
"""
PIPES = (
    "all_items",
    "also_bought",
    "also_bought_by_score",
    "for_you",
    "popular",
    "trending",
)  # to check all takes long
SURFACES = """
product_page.bottom: {pipe: also_bought, limit: 8}
home.top: {pipe: for_you, limit: 4}
"""
PRODUCTS = {"T1": "Green tea", "P1": "Tea pot", "M1": "Blue mug", "H1": "Lime honey <b>", "B1": "A box of ten tea bags"}
ORDERS = [("T1", "P1"), ("T1", "P1", "H1"), ("T1", "P1", "M1"), ("T1", "M1", "H1", "P1", "B1")]
CONSENT = {"name": "consent", "value": "yes"}
WRONG_CLOCK = "{ const now = Date.now; Date.now = () => now() - 3600e3; }"
REACT = {
    "react.js": "const {React} = globalThis; export default React;"
    " export const {createElement, useCallback, useEffect, useRef, useState} = React;",
    "react-dom.js": "export const {createRoot} = globalThis.ReactDOM;",
}


def file_of_tutorial(name: str) -> str:
    block = re.search(rf"<!-- file: site/{re.escape(name)} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert block, name
    return block[1]


class Pages(SimpleHTTPRequestHandler):
    """Files of the shop, under the strictest policy that the kit allows, and a picture of each product."""

    policy = ""

    def do_GET(self) -> None:
        if not self.path.startswith(("/images/", "/favicon")):
            return super().do_GET()
        picture = (
            b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><rect width='9' height='9' fill='#7a9'/></svg>"
        )
        self.send_response(200)
        self.send_header("Content-Type", "image/svg+xml")
        self.end_headers()
        self.wfile.write(picture)
        return None

    def end_headers(self) -> None:
        if "react" not in self.path:
            self.send_header("Content-Security-Policy", self.policy)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Shop:
    """The pages at `url`, which ask the service at `service`. `open` starts a visit."""

    url: str
    service: str
    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def open(self, page: str = "product.html", size: Any = LAPTOP, *, agreed: bool = True, script: str = "") -> Page:
        context = self.browser.new_context(viewport=size, reduced_motion="reduce")
        self.contexts.append(context)
        if agreed:
            context.add_cookies([{**CONSENT, "url": self.url}])  # type: ignore[typeddict-item]
        if script:
            context.add_init_script(script)
        opened = context.new_page()
        opened.set_default_timeout(20_000)
        opened.on("console", lambda message: self.messages.append(message.text))
        opened.on("pageerror", lambda error: self.messages.append(str(error)))
        opened.goto(f"{self.url}/{page}")
        return opened

    def call(self, page: Page, function: str) -> Any:
        """Calls a function of the kit, and awaits it."""
        return page.evaluate(f"import('{self.service}/kit/alsobought.js').then((kit) => kit.{function})")

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.service}{path}", data, {"Authorization": f"Bearer {ADMIN}"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())

    def events(self, who: str, count: int, page: Page) -> list[dict[str, Any]]:
        """The events of a guest or user, once there are as many. The page sends what waits at once."""
        deadline = time.monotonic() + 20
        while True:
            self.call(page, "flush()")
            rows = [
                row
                for row in self.ask("/pipes/recorded?fresh=true")["data"]
                if who in (row["user_id"], row["session_id"])
            ]
            if len(rows) >= count or time.monotonic() > deadline:
                assert len(rows) == count, rows
                return rows


@pytest.fixture(scope="module")
def served_shop(browser: Browser, migrated_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    project_folder(folder / "home")
    for path in (folder / "home/pipes").iterdir():
        if path.stem not in PIPES:
            path.unlink()
    (folder / "home/pipes/recorded.sql").write_text(RECORDED)
    (folder / "home/sql/surfaces.yaml").write_text(SURFACES)
    data = shutil.copytree(migrated_folder, folder / "data", symlinks=True)
    (site := folder / "site").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=str(site)))
    url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    run = running(data, ALSOBOUGHT_ACCESS="keys", ALSOBOUGHT_ADMIN_KEY=ADMIN).at(folder / "home")
    with serving(run) as service:
        key = run("key", "create", "page", "--browser", "--origin", url).out.strip()
        shop = Shop(url, service.url, browser)
        Pages.policy = (
            f"default-src 'none'; script-src 'self' {shop.service}; connect-src {shop.service};"
            " img-src 'self'; style-src 'self'; base-uri 'none'"
        )
        shop.ask(
            "/items?wait=true",
            [
                {"item_id": i, "title": title, "price": 4.5, "currency": "EUR"}
                | {"url": f"product.html?item={i}", "image": f"images/{i}.svg"}
                for i, title in PRODUCTS.items()
            ]
            + [{"item_id": "M1", "url": "javascript:alert(1)", "image": "data:image/png;base64,AA=="}],
        )
        lines = [
            {"event_type": "purchase", "user_id": f"u{n}", "order_id": f"o{n}", "item_id": item}
            for n, order in enumerate(ORDERS)
            for item in order
        ]
        shop.ask("/events?wait=true", lines)
        for asked in ("/recommend/product_page.bottom?item_id=T1", "/pipes/popular", "/pipes/recorded"):
            shop.ask(asked)  # the first time takes longer than a page waits
        for name in ("product.html", "shop.js", "shop.css"):
            text = file_of_tutorial(name).replace("http://127.0.0.1:8080", service.url).replace("ab_public_…", key)
            (site / name).write_text(text)
        (site / "test.css").write_text(".far { margin-top: 3000px }")
        below = f"<link rel='stylesheet' href='test.css'><div class='far'>{file_of_tutorial('card.html')}</div></main>"
        (site / "long.html").write_text((site / "product.html").read_text().replace("</main>", below))
        write_react_page(site, service.url, key)
        yield shop
    server.shutdown()
    server.server_close()


def write_react_page(site: Path, service: str, key: str) -> None:
    """The tutorial's page in React, type-checked and compiled."""
    folder = site.parent / "react"
    folder.mkdir()
    text = file_of_tutorial("product.tsx").replace("http://127.0.0.1:8080", service).replace("ab_public_…", key)
    (folder / "product.tsx").write_text(text)
    (folder / "node_modules").mkdir()
    for name in ("react", "react-dom", "@types", "csstype"):
        (folder / "node_modules" / name).symlink_to(NODE / name)
    (folder / "node_modules" / "alsobought").symlink_to(ROOT / "app/alsobought/web/kit")
    options = "--strict --skipLibCheck --jsx react --target es2022 --module es2022 --moduleResolution bundler --preserveSymlinks"
    command: list[str | Path] = [NODE / ".bin" / "tsc", *options.split(), "--outDir", site, "product.tsx"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    for name in ("react", "react-dom"):
        shutil.copy(NODE / name / "umd" / f"{name}.production.min.js", site)
    for name, script in REACT.items():
        (site / name).write_text(script)
    imports = {
        "react": "./react.js",
        "react-dom/client": "./react-dom.js",
        "alsobought": f"{service}/kit/alsobought.js",
        "alsobought/react": f"{service}/kit/react.js",
    }
    (site / "react.html").write_text(
        f"<!doctype html><html lang=en><title>React</title><link rel=stylesheet href=shop.css><div id=root></div>"
        "<script src=react.production.min.js></script><script src=react-dom.production.min.js></script>"
        f"<script type=importmap>{json.dumps({'imports': imports})}</script><script type=module src=product.js></script>"
    )


@pytest.fixture
def shop(served_shop: Shop) -> Iterator[Shop]:
    """After each test the console must be empty."""
    expect.set_options(timeout=20_000)
    served_shop.messages.clear()
    yield served_shop
    for context in served_shop.contexts:
        context.close()
    served_shop.contexts.clear()
    assert served_shop.messages == []


def stored_by_kit(page: Page) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(page.evaluate("localStorage.getItem('alsobought')"))
    return stored


def titles(page: Page) -> list[str]:
    return page.locator("also-bought [part=title]").all_inner_texts()


def test_what_is_seen_clicked_and_bought_arrives(shop: Shop) -> None:
    page = shop.open("long.html")
    cards = page.locator("also-bought").first.get_by_role("listitem")
    expect(cards).to_have_count(4)
    assert titles(page)[0] == "Tea pot"
    assert "Lime honey <b>" in titles(page)
    guest = stored_by_kit(page)["guest"]
    seen = shop.events(guest, 5, page)
    assert [row["event_type"] for row in seen] == ["view"] + 4 * ["impression"], "and none of the shelf below the fold"
    assert {row["item_id"] for row in seen[1:]} == {"P1", "M1", "H1", "B1"}
    assert all(row["is_valid"] for row in seen[1:])
    cards.first.get_by_role("link").click()
    page.wait_for_url("**/product.html?item=P1")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("button", name="Buy now").click()
    expect(page.locator("also-bought").get_by_role("listitem")).to_have_count(4)
    rows = [row for row in shop.events(guest, 13, page) if row["event_type"] != "impression"]
    assert [row["event_type"] for row in rows] == ["view", "click", "view", "add_to_cart", "purchase"]
    clicked = seen[1]["recommendation_id"]
    attributed = [
        (row["recommendation_id"], row["position"], row["is_valid"]) for row in rows if row["item_id"] == "P1"
    ]
    assert [attributed[0], *attributed[2:]] == 3 * [(clicked, 1, 1)]


def test_a_shelf_is_accessible_and_nothing_unsafe_is_in_it(shop: Shop) -> None:
    page = shop.open("long.html", PHONE, agreed=False)
    first, second = page.locator("also-bought").all()
    expect(first.get_by_role("listitem")).to_have_count(4)
    expect(second.get_by_role("listitem")).to_have_count(3)
    expect(first.get_by_role("heading", name="Customers also bought")).to_be_visible()
    expect(first.get_by_role("list", name="Customers also bought")).to_be_visible()
    assert first.get_by_text("€4.50").count() == 4
    assert first.get_by_role("link").count() == 3, "javascript: is no address of a product"
    assert first.locator("img").count() == 3
    assert second.locator("a.card strong").count() == 3, "the shop's own card"
    second.scroll_into_view_if_needed()
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shifts = "new Promise((done) => new PerformanceObserver((list) => done(list.getEntries().length))"
    shifts += ".observe({type: 'layout-shift', buffered: true})) "
    assert page.evaluate(f"Promise.race([{shifts}, new Promise((done) => setTimeout(done, 200, 0))])") == 0


def test_without_consent_nothing_is_stored_or_sent(shop: Shop) -> None:
    sent: list[str] = []
    signal = "Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})"
    for page in (shop.open(agreed=False), shop.open(script=signal)):
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        expect(page.locator("also-bought").get_by_role("listitem")).to_have_count(4)
        page.get_by_role("button", name="Add to cart").click()
        page.locator("also-bought").get_by_role("link").first.click()
        expect(page.locator("also-bought").get_by_role("listitem")).to_have_count(4)
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert sent == []
    page = shop.open(agreed=False)
    page.get_by_role("button", name="Yes").click()
    page.get_by_role("button", name="Add to cart").click()
    guest = stored_by_kit(page)["guest"]
    shop.events(guest, 5, page)
    shop.call(page, "consent(false)")
    assert page.evaluate("localStorage.length") == 0


def test_events_wait_for_the_service_across_pages_and_count_once(shop: Shop) -> None:
    page = shop.open()
    expect(page.locator("also-bought").get_by_role("listitem")).to_have_count(4)
    guest = stored_by_kit(page)["guest"]
    shop.events(guest, 5, page)
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.request.post_data or "")
        route.abort()

    page.route(f"{shop.service}/events", lose)
    page.get_by_role("button", name="Add to cart").click()
    shop.call(page, "flush()")
    page.context.set_offline(True)
    page.get_by_role("button", name="Add to cart").click()
    assert len(stored_by_kit(page)["queue"]) == 2
    page.context.set_offline(False)
    page.reload()
    assert [event["event_type"] for event in stored_by_kit(page)["queue"]][:2] == 2 * ["add_to_cart"]
    shop.ask("/events?wait=true", json.loads(lost[0])["events"])  # as if only the answer had been lost
    page.unroute(f"{shop.service}/events")
    with page.expect_response("**/events"):
        page.evaluate("dispatchEvent(new Event('online'))")
    types = [row["event_type"] for row in shop.events(guest, 12, page)]
    assert types.count("add_to_cart") == 2
    assert all("ERR_FAILED" in text or "Failed to fetch" in text for text in shop.messages)
    shop.messages.clear()


def test_a_guest_who_logs_in_becomes_the_user(shop: Shop) -> None:
    page = shop.open()
    guest = stored_by_kit(page)["guest"]
    shop.events(guest, 5, page)
    scopes = ["pipes:read", "events:write"]
    token = shop.ask("/tokens", {"params": {"user_id": "gus"}, "scopes": scopes})["token"]
    shop.call(page, f"identify('gus', '{token}')")
    assert "guest" not in stored_by_kit(page)
    page.get_by_role("button", name="Add to cart").click()
    rows = shop.events("gus", 10, page)  # the shelf was asked again, as the user
    assert {row["event_type"] for row in rows} == {"view", "impression", "add_to_cart"}
    assert {row["session_id"] for row in rows[:5]} == {guest}
    assert guest not in {row["session_id"] for row in rows[5:]}
    assert shop.call(page, "recommend('home.top')")["items"][0]["recommendation_id"]
    shop.call(page, "identify(null)")
    page.get_by_role("button", name="Add to cart").click()
    assert stored_by_kit(page)["guest"] != guest, "who comes next is another guest"


def test_the_page_in_react_reports_both_shelves(shop: Shop) -> None:
    page = shop.open("react.html", script=WRONG_CLOCK)
    expect(page.get_by_role("listitem")).to_have_count(5)
    page.get_by_role("button", name="Add to cart").click()
    rows = shop.events(stored_by_kit(page)["guest"], 7, page)
    assert sorted(row["event_type"] for row in rows) == ["add_to_cart", *5 * ["impression"], "view"]
    assert all(row["is_valid"] for row in rows if row["event_type"] == "impression"), "the time is the service's"
