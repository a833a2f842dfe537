"""Where data of a user may be that an erasure does not reach, and until when."""

from __future__ import annotations

import msgspec

from alsobought.settings import Settings
from alsobought.storage.retention import POSTED_LETTER_DAYS


class NotReached(msgspec.Struct, frozen=True):
    """`days` is 0 where this service has no say."""

    what: str
    until: str
    days: int


def not_reached(settings: Settings) -> list[NotReached]:
    """Without the backups: those are named one by one (`backup.erasures`).

    >>> [(place.what, place.days) for place in not_reached(Settings(kafka="shop:9092"))]
    [('dead letters that cannot be read as JSON', 90), ('the topics of Kafka', 0), ('the log of the service', 0)]
    """
    days = settings.dead_letter_retention_days or (0 if settings.kafka else POSTED_LETTER_DAYS)
    until = (
        f"deleted after {days} days" if days else "kept until you delete them: ALSOBOUGHT_DEAD_LETTER_RETENTION_DAYS"
    )
    places = [NotReached("dead letters that cannot be read as JSON", until, days)]
    if settings.kafka:
        until = "as long as they keep messages; older events of the user that are read again are dropped"
        places.append(NotReached("the topics of Kafka", until, 0))
    until = "as long as your system keeps it; at the level debug it has the paths of requests"
    return [*places, NotReached("the log of the service", until, 0)]
