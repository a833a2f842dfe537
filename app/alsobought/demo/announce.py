"""Print the addresses of a served demo; for the toy shop, also send the events of simulated shoppers."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

import msgspec
from rich.console import Console

from alsobought.demo import toyshop
from alsobought.demo.load import read_state
from alsobought.settings import Settings
from alsobought.writer.submission import utc_now


def announce(settings: Settings, console: Console, page_url: str) -> Callable[[str], None]:
    """The function that the server calls with its URL when it is ready. The page may be on another port."""
    state = read_state(settings)

    def ready(url: str) -> None:
        pipe, item = (state.example_pipe, state.example_item) if state else ("also_bought", "")
        example = f"{url}/pipes/{pipe}?item_id={quote(item)}&limit=3"
        console.print(
            f"\n  Open     [bold]{page_url}[/]\n  Try      curl '{example}'\n  Stop     Ctrl-C\n",
            highlight=False,
            soft_wrap=True,
        )
        if state and state.dataset == "toyshop":
            threading.Thread(target=_send_live_events, args=(url,), name="live", daemon=True).start()

    return ready


def _send_live_events(url: str) -> None:
    """Sends each simulated event at its time, over HTTP like any other client."""
    for event in toyshop.live(utc_now()):
        event_time = datetime.fromisoformat(event["timestamp"])
        time.sleep(max(0.0, (event_time - utc_now()).total_seconds()))
        request = urllib.request.Request(f"{url}/events", msgspec.json.encode(event))  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30):  # noqa: S310
                pass
        except OSError:
            time.sleep(1)  # the service is busy or stopping; this event is lost
