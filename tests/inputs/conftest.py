"""A running service for inputs as shops send them: what one test sends is told from the others' by its ids."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.process import CompletedRun, Run, running, serving
from tests.support.project import project_folder

PAGE = "https://shop.example"
ASKED = {
    *("also_bought", "also_bought_by_score", "popular", "trending", "all_items", "new_items", "recently_viewed"),
    *("find_items", "from_your_categories"),
}
EVENTS_OF = """\
-- The stored events of a user.
--
-- :user_id  String  whose
select event_type, user_id, session_id, item_id, category, order_id, order_size, quantity, refunded, price, timestamp
from events
where user_id = {{ user_id }}
order by timestamp, seq, item_id
limit 100
"""


@dataclass(frozen=True)
class Live:
    """A service, commands beside it, and a folder for files."""

    url: str
    run: Run
    folder: Path

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        """Status and answer. `Content_Type` is the header Content-Type."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"{self.url}{path}", body or None, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """The answer to JSON that is accepted."""
        text = body if isinstance(body, str) else json.dumps(body)
        status, answer = self.send("POST", f"/{path}?wait=true", text.encode())
        assert status == 200, answer
        return dict(answer)

    def ask(self, pipe: str, *columns: str) -> list[Any]:
        """These columns of the answer's rows; a single column as plain values."""
        status, answer = self.send("GET", f"/pipes/{pipe}")
        assert status == 200, answer
        rows = [tuple(row[column] for column in columns) for row in answer["data"]]
        return rows if len(columns) > 1 else [row[0] for row in rows]

    def load(self, kind: str, text: str, *flags: str, name: str) -> CompletedRun:
        """Load a file with this text."""
        (self.folder / name).write_text(text)
        return self.run("load", kind, name, *flags)

    def events_of(self, user: str, *columns: str) -> list[Any]:
        """These columns of a user's stored events, by their times."""
        return self.ask(f"events_of?user_id={quote(user)}", *columns)


@pytest.fixture(scope="session")
def live(migrated_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copytree(migrated_folder, folder / "data", symlinks=True)
    project_folder(folder, "pipes", "sql", "migrations")
    for pipe in (folder / "pipes").glob("*.sql"):
        if pipe.stem not in ASKED:
            pipe.unlink()  # a service validates every pipe
    (folder / "pipes" / "events_of.sql").write_text(EVENTS_OF)
    run = running(folder / "data", ALSOBOUGHT_CORS=PAGE).at(folder)
    with serving(run) as service:
        yield Live(service.url, run, folder)
