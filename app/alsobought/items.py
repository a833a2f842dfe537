"""Items of the catalogue: what a shop sends about one, decoded and validated field by field. Pure.

What is sent changes the fields it names and no others; `writer.catalogue_rows` applies it to what is stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from alsobought.events import NO_PLACEHOLDERS, Id, Money, OptionalId, Rejected, check_rows
from alsobought.json_values import (
    Conversion,
    category_path,
    converted,
    fault,
    split_currency,
    strict_first,
    to_boolean,
    to_id,
    to_price,
    to_time,
    to_whole_number,
)
from alsobought.placeholders import Placeholders

VECTOR_LENGTH = 4096
MIN_NORM = 1e-9  # of an embedding that has a direction
MAX_TAGS = 200
TITLE_IN = re.compile(r"title\.([a-z]{2,3}(?:-[A-Za-z0-9]{2,8})?)")
"""A title in another language: title.de, title.pt-BR."""

Text = Annotated[str, Meta(max_length=2000)]
Stock = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Vector = Annotated[list[Annotated[float, Meta(ge=-1e9, le=1e9)]], Meta(max_length=VECTOR_LENGTH)]
Tags = Annotated[list[OptionalId], Meta(max_length=MAX_TAGS)]
Texts = dict[str, str | None]


class Item(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a shop sends about one product. A field that is not given stays as it is stored; null clears it.

    `attributes` and `titles` (by language) change only the keys they name. `owner` is the user who offers the item,
    `group_id` what it is a variant of. With a `stock` of 0 or less, or `available: false`, an item is on no list.
    `published_at` is the time since when the shop has it. `replace` clears the fields that are not given; `removed` takes the
    item out of the catalogue.
    """

    item_id: Id
    title: Text | UnsetType | None = UNSET
    titles: Texts | UnsetType | None = UNSET
    category: OptionalId | UnsetType | None = UNSET
    brand: OptionalId | UnsetType | None = UNSET
    price: Money | UnsetType | None = UNSET
    list_price: Money | UnsetType | None = UNSET
    currency: OptionalId | UnsetType | None = UNSET
    available: bool | UnsetType | None = UNSET
    stock: Stock | UnsetType | None = UNSET
    url: Text | UnsetType | None = UNSET
    image: Text | UnsetType | None = UNSET
    group_id: OptionalId | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET
    owner: OptionalId | UnsetType | None = UNSET
    attributes: Texts | UnsetType | None = UNSET
    embedding: Vector | UnsetType | None = UNSET
    published_at: datetime | UnsetType | None = UNSET
    replace: bool = False
    removed: bool = False


def read_items(
    objects: Iterable[Any],
    max_bytes: int,
    decode: Callable[[Any], Any] | None = None,
    placeholders: Placeholders = NO_PLACEHOLDERS,
) -> tuple[list[Item], list[Rejected]]:
    """The valid items and the rejected objects. All embeddings of a request have one length."""
    length = 0

    def problem_of(item: Item) -> str:
        nonlocal length
        if problem := _problem(item, length, placeholders):
            return problem
        length = length or len(item.embedding or ())
        return ""

    return check_rows(objects, decode or decode_item, max_bytes, "attributes", problem_of)


def item_of(fields: dict[str, Any]) -> Item:
    """The item of decoded JSON. Raises msgspec.ValidationError.

    >>> item = item_of({"item_id": 17, "price": "19.90 EUR", "title.de": "Tee"})
    >>> item.item_id, item.price, item.currency, item.titles
    ('17', 19.9, 'EUR', {'de': 'Tee'})
    """
    for name in ("price", "list_price"):
        amount, currency = split_currency(fields.get(name))
        if currency:
            fields = {"currency": currency, **fields, name: amount}
    if titles := {match[1]: fields[name] for name in fields if (match := TITLE_IN.fullmatch(name))}:
        own = fields.get("titles")
        fields = {name: value for name, value in fields.items() if not TITLE_IN.fullmatch(name)}
        fields["titles"] = {**own, **titles} if isinstance(own, dict) else titles
    return msgspec.convert(converted(fields, _CONVERSIONS), Item)


def _text_of_map(value: Any, field: str) -> Any:
    """Texts by name: numbers and booleans as text."""
    if not isinstance(value, dict):
        return value
    return {
        key: one if one is None or isinstance(one, str) else _plain_text(one, f"{field}.{key}")
        for key, one in value.items()
    }


def _plain_text(value: Any, field: str) -> str:
    if isinstance(value, (dict, list)):
        raise fault("Expected `str`", field)
    return msgspec.json.encode(to_id(value)).decode().strip('"')


_CONVERSIONS: dict[str, Conversion] = {
    **dict.fromkeys(("item_id", "group_id", "owner", "brand", "title", "category"), to_id),
    **dict.fromkeys(("price", "list_price"), to_price),
    **dict.fromkeys(("attributes", "titles"), _text_of_map),
    "available": to_boolean,
    "stock": to_whole_number,
    "published_at": to_time,
}


decode_item = strict_first(msgspec.json.Decoder(Item).decode, item_of)


def _problem(item: Item, length: int, placeholders: Placeholders) -> str:
    """The problem of a decoded item, or an empty string. `length` is that of the embeddings before it, 0 without any."""
    if problem := "item_id: holds a NUL character" if "\0" in item.item_id else placeholders.item_problem(item.item_id):
        return problem
    if item.category:
        item.category = category_path(item.category)
    if item.currency:
        item.currency = item.currency.upper()
        if not re.fullmatch("[A-Z]{3}", item.currency):
            return f"currency: {item.currency[:20]!r} is not a currency like EUR"
    if not item.embedding:
        return ""
    if length and len(item.embedding) != length:
        return f"embedding: {len(item.embedding):,} numbers, and the items before it have {length:,}"
    if math.hypot(*item.embedding) < MIN_NORM:
        return "embedding: its numbers are all 0, so that it points nowhere; leave it out"
    return ""
