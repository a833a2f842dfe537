"""The names of all data sets, for a command that must not read any to list them."""

from __future__ import annotations

GENERATED = ("media", "session-shop", "marketplace")
PUBLIC = ("instacart-sample", "movielens-100k", "movielens-small")
DATASETS = ("journey", "toyshop", *PUBLIC, *GENERATED)
