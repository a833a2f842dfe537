"""A program that buys, asks and asks wrongly, with the generated types. Its argument is the address of a shop."""

import json
import sys

from alsobought_client import Client
from alsobought_client.api.intake import post_events
from alsobought_client.api.pipes import all_items, also_bought, post_also_bought
from alsobought_client.models import (
    Accepted,
    AllItemsAnswer,
    AlsoBoughtAnswer,
    AlsoBoughtParameters,
    AlsoBoughtRow,
    Error,
    Event,
    EventEventType,
)

shop = Client(base_url=sys.argv[1])


def buy(order: str, item: str) -> Event:
    return Event(event_type=EventEventType.PURCHASE, user_id="typed", order_id=order, item_id=item)


accepted = post_events.sync(client=shop, body=[buy("p1", "tea"), buy("p1", "mug")], wait=True)
assert isinstance(accepted, Accepted)

got = also_bought.sync_detailed(client=shop, item_id=["tea"], limit=5)
assert isinstance(got.parsed, AlsoBoughtAnswer)
rows: list[AlsoBoughtRow] = got.parsed.data
partners: list[str] = [row.other_item_id for row in rows]

following: str | None = got.parsed.next_
page = all_items.sync(client=shop, limit=1)
assert isinstance(page, AllItemsAnswer)
assert page.next_
rest = all_items.sync(client=shop, limit=1, cursor=page.next_)
assert isinstance(rest, AllItemsAnswer)

etag = got.headers["etag"]
again = also_bought.sync_detailed(client=shop, item_id=["tea"], limit=5, if_none_match=etag)

posted = post_also_bought.sync(client=shop, body=AlsoBoughtParameters(item_id="tea", category=None))
assert isinstance(posted, AlsoBoughtAnswer)

wrong = also_bought.sync(client=shop, item_id=["tea"], limit=1000)
assert isinstance(wrong, Error)


def refused() -> None:
    """What the types must refuse: mypy complains of a comment that was not needed."""
    also_bought.sync(client=shop, limit=5)  # type: ignore[call-arg]
    also_bought.sync(client=shop, item_id=["tea"], limit="five")  # type: ignore[arg-type]
    print(rows[0].price_of)  # type: ignore[attr-defined]


print(
    json.dumps(
        {
            "accepted": accepted.accepted,
            "partners": partners,
            "meta": len(got.parsed.meta),
            "next": following,
            "pages": sorted([page.data[0].item_id, rest.data[0].item_id]),
            "unchanged": again.status_code,
            "posted": [row.other_item_id for row in posted.data],
            "fault": [400, wrong.error.code, [detail.param for detail in wrong.error.details]],
        }
    )
)
