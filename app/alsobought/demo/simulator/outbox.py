"""Events on their way to the shop, as browsers send them: in batches, some twice, some late, none in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from alsobought.demo.simulator.draws import uniform
from alsobought.demo.simulator.front_door import FrontDoor

BATCH_EVENTS = 5_000
SENT_TWICE = 0.04  # the answer was lost: the same event again
SHOWN_TWICE = 0.03  # a page that was drawn again: another impression of the same item in the same list
LATE = 0.03  # a phone without a network
MAX_LATE_POSTS = 4

Event = dict[str, Any]


@dataclass
class Outbox:
    """`flush` posts what is due. Counts what it sent: `sent` events, and `repeated` ones among them."""

    door: FrontDoor
    seed: int
    sent: int = 0
    repeated: int = 0
    _number: int = 0
    _held: list[tuple[int, Event]] = field(default_factory=list)

    def add(self, events: Iterable[Event]) -> None:
        """Events with an event_id, to be sent with the next post, or later."""
        for event in events:
            key = self.seed, event["event_id"]
            due = self._number
            if uniform(*key, "late") < LATE:
                due += 1 + int(uniform(*key, "how late") * MAX_LATE_POSTS)
            self._held.append((due, event))
            if uniform(*key, "sent twice") < SENT_TWICE:
                self._held.append((due + 1, event))
                self.repeated += 1
            if event["event_type"] == "impression" and uniform(*key, "shown twice") < SHOWN_TWICE:
                self._held.append((due, event | {"event_id": f"{event['event_id']}-again"}))
                self.repeated += 1

    def flush(self, *, everything: bool = False) -> None:
        """Post what is due, in an order of its own."""
        due = [event for number, event in self._held if everything or number <= self._number]
        self._held = [] if everything else [held for held in self._held if held[0] > self._number]
        self._number += 1
        due.sort(key=lambda event: uniform(self.seed, event["event_id"], self._number, "order"))
        for start in range(0, len(due), BATCH_EVENTS):
            batch = due[start : start + BATCH_EVENTS]
            self.door.post("/events?wait=true", batch)
            self.sent += len(batch)
