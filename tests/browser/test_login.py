"""The login of the page in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.test_workbench import browser as browser  # noqa: PLC0414 - a fixture
from tests.support.process import running, serving
from tests.support.project import project_folder

KEY = "k" * 40
NUMBER = "-- A number.\n\nselect 1 as number order by number limit 1\n"


def test_a_key_opens_the_page_until_the_user_logs_out(
    browser: Browser,
    migrated_folder: Path,
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    project_folder(home)
    for path in (home / "pipes").iterdir():
        path.unlink()
    (home / "pipes" / "number.sql").write_text(NUMBER)
    folder = shutil.copytree(migrated_folder, tmp_path / "data", symlinks=True)
    run = running(folder, ALSOBOUGHT_ACCESS="keys", ALSOBOUGHT_ADMIN_KEY=KEY).at(home)
    with serving(run, "--edit") as service:
        analyst = run("key", "create", "ada", "--role", "analyst").out.strip()
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.goto(f"{service.url}/#/pipes")
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        page.get_by_label("Key").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("The key is not valid")
        page.get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        page.get_by_role("link", name="number").first.click()
        expect(page.get_by_role("heading", name="number")).to_be_visible()
        assert page.evaluate("document.cookie") == ""
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        page.get_by_role("link", name="Audit").click()
        expect(page.get_by_role("list", name="Entries")).to_contain_text("workbench.log_in")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert context.cookies() == []
        page.get_by_label("Key").fill(analyst)
        page.keyboard.press("Enter")
        expect(page.get_by_text("ada analyst")).to_be_visible()
        expect(page.get_by_role("link", name="Audit")).to_be_hidden()
        expect(page.get_by_text("The audit log is for administrators")).to_be_visible()
        page.goto(f"{service.url}/#/pipes/number")
        expect(page.get_by_role("link", name="Edit")).to_be_visible()
        context.close()
