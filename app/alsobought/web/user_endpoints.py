"""`POST /users`, and `GET` and `DELETE /users/<id>`: what a shop knows of its users."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response, g, request

from alsobought.errors import BadUsers, NoSuchUser
from alsobought.events import ID_LENGTH, split_objects
from alsobought.users import User, read_users
from alsobought.web import audit
from alsobought.web.context import json_response, service, write_slots
from alsobought.web.guard import require_allowed_origin
from alsobought.web.intake_endpoints import accept, is_true, rules
from alsobought.web.request_body import largest_size, read_body
from alsobought.writer.user_rows import stored_user

blueprint = Blueprint("users", __name__)


@blueprint.route("/users", methods=["POST"])
def post_users() -> Response:
    """Change the attributes that each object names; with ?replace=true clear those that it does not name."""
    replace = is_true("replace")
    require_allowed_origin(service().settings, request)
    with write_slots().acquire(largest_size()):
        objects, by = list(split_objects(read_body())), rules()
        users, rejected = read_users(objects, by.max_bytes, by.now, placeholders=by.placeholders)
        if replace:
            users = [msgspec.structs.replace(user, replace=True) for user in users]
        return accept(users, rejected, BadUsers, objects)


@blueprint.route("/users/<path:user_id>", methods=["GET"])
def get_user(user_id: str) -> Response:
    """What is stored of a user; of a merged guest, of the account."""
    row = stored_user(service().warehouse, user_id)
    if row is None:
        raise NoSuchUser(f"no attributes of {user_id[:60]!r} are stored", "POST /users adds them")
    return json_response({**row, "request_id": g.request_id})


@blueprint.route("/users/<path:user_id>", methods=["DELETE"])
def delete_user(user_id: str) -> Response:
    """Delete the attributes of a user, who keeps the events (`alsobought forget` erases all). Idempotent."""
    require_allowed_origin(service().settings, request)
    if len(user_id) > ID_LENGTH or "\0" in user_id:
        raise NoSuchUser(f"no user can have the id {user_id[:60]!r}", f"An id has at most {ID_LENGTH} characters")
    with write_slots().acquire(), audit.recorded("user.delete", audit.user(user_id)):
        return accept([User(user_id=user_id, removed=True)], [], BadUsers)
