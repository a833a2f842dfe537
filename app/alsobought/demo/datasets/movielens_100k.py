"""MovieLens 100k: ratings from 1997-09 to 1998-04, from the wheel recbole."""

from __future__ import annotations

from collections.abc import Iterator

from alsobought.demo.datasets.contents import Contents
from alsobought.demo.datasets.ratings import Rating, contents, film
from alsobought.demo.datasets.wheels import Wheel
from alsobought.items import Item

WHEEL = Wheel(
    "recbole",
    "1.2.1",
    "recbole-1.2.1-py3-none-any.whl",
    "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
)
FOLDER = "recbole/dataset_example/ml-100k/ml-100k"


def read() -> Contents:
    return contents(ratings(WHEEL.read(f"{FOLDER}.inter").decode()), films(WHEEL.read(f"{FOLDER}.item").decode()))


def ratings(text: str) -> Iterator[Rating]:
    """From tab-separated columns user_id, item_id, rating and timestamp, with a line of titles."""
    for user, film_id, stars, timestamp in _rows(text):
        yield Rating(user, film_id, float(stars), float(timestamp))


def films(text: str) -> Iterator[Item]:
    """From tab-separated columns item_id, title, year and genres, with a line of titles."""
    for film_id, title, year, genres in _rows(text):
        yield film(film_id, title, year, genres.split())


def _rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines()[1:]:
        yield line.split("\t")
