"""Ratings of films as events, in the order of the real clock.

Every rating is a `view`: the film was seen. From 4 stars up it is also a `like`, up to 2 stars also a `dislike`. What a
user rates on one day is a session, since people rate many films in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from alsobought.demo.datasets.contents import Contents, in_seconds
from alsobought.events import Event
from alsobought.items import Item

LIKED, DISLIKED = 4.0, 2.0  # stars


@dataclass(frozen=True)
class Rating:
    """`timestamp` in seconds since 1970."""

    user: str
    film: str
    stars: float
    timestamp: float


def contents(ratings: Iterable[Rating], films: Iterable[Item]) -> Contents:
    ordered = sorted(ratings, key=lambda rating: (rating.timestamp, rating.user, rating.film))
    return Contents(list(films), [event for rating in ordered for event in _events(rating)], {})


def film(film_id: str, title: str, year: str, genres: list[str]) -> Item:
    """A film with its first genre as the category, and all of them as tags."""
    category = genres[0] if genres else ""
    return Item(item_id=film_id, title=f"{title} ({year})" if year else title, category=category, tags=genres)


def _events(rating: Rating) -> Iterator[Event]:
    time = in_seconds(rating.timestamp)
    yield _event("view", rating, time)
    if rating.stars >= LIKED:
        yield _event("like", rating, time)
    elif rating.stars <= DISLIKED:
        yield _event("dislike", rating, time)


def _event(event_type: str, rating: Rating, time: datetime) -> Event:
    return Event(
        event_type=event_type,
        user_id=rating.user,
        session_id=f"{rating.user}-{time:%Y-%m-%d}",
        item_id=rating.film,
        timestamp=time,
    )
