"""`POST /items`, and `GET` and `DELETE /items/<id>`: the catalogue."""

from __future__ import annotations

from contextlib import nullcontext

import msgspec
from flask import Blueprint, Response, g, request

from alsobought.errors import BadItems, NoSuchItem
from alsobought.events import ID_LENGTH, split_objects
from alsobought.items import Item, read_items
from alsobought.pipes.placeholder_file import placeholders_of
from alsobought.web.audit import recorded
from alsobought.web.context import json_response, service, write_slots
from alsobought.web.guard import require_allowed_origin
from alsobought.web.intake_endpoints import accept, is_true
from alsobought.web.request_body import largest_size, read_body
from alsobought.writer.catalogue_rows import stored_item

blueprint = Blueprint("items", __name__)


@blueprint.route("/items", methods=["POST"])
def post_items() -> Response:
    """Change the fields that each object names; with ?replace=true clear those that it does not name."""
    settings, replace = service().settings, is_true("replace")
    require_allowed_origin(settings, request)
    with write_slots().acquire(largest_size()):
        objects = list(split_objects(read_body()))
        items, rejected = read_items(
            objects, settings.max_event_bytes, placeholders=placeholders_of(settings.home_folder)
        )
        if replace:
            items = [msgspec.structs.replace(item, replace=True) for item in items]
        with (
            recorded("items.write", items=len(items), rejected=len(rejected), replace=replace)
            if items
            else nullcontext()
        ):
            return accept(items, rejected, BadItems, objects)


@blueprint.route("/items/<path:item_id>", methods=["GET"])
def get_item(item_id: str) -> Response:
    """What is stored of an item."""
    row = stored_item(service().warehouse, item_id)
    if row is None:
        raise NoSuchItem(f"the catalogue has no item {item_id[:60]!r}", "POST /items adds it")
    return json_response({**row, "request_id": g.request_id})


@blueprint.route("/items/<path:item_id>", methods=["DELETE"])
def delete_item(item_id: str) -> Response:
    """Take an item out of the catalogue: it is on no list until it is posted again. Idempotent."""
    require_allowed_origin(service().settings, request)
    if len(item_id) > ID_LENGTH or "\0" in item_id:
        raise NoSuchItem(f"no item can have the id {item_id[:60]!r}", f"An id has at most {ID_LENGTH} characters")
    with write_slots().acquire(), recorded("item.delete", f"item {item_id}"):
        return accept([Item(item_id=item_id, removed=True)], [], BadItems)
