"""The editor's endpoints, which exist with `alsobought serve --edit` only: try a text, ask it, save it, run its cases."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response, request

from alsobought.errors import BadRequest, NotSaved, PipeFault, TooLarge, Unusable
from alsobought.pipes.drafts import save
from alsobought.pipes.library import Pipe
from alsobought.pipes.template import MAX_TEXT
from alsobought.serving.answers import answer_by
from alsobought.web.case_runner import run_cases
from alsobought.web.endpoints import described
from alsobought.web.guard import refuse_to_edit
from alsobought.web.reply import body_of, shop
from alsobought.web.workbench import rules_of, shown

blueprint = Blueprint("editing", __name__, url_prefix="/workbench/pipes/<name>")
MAX_BODY = 4 * MAX_TEXT  # bytes: the longest text, in the widest letters


class Draft(msgspec.Struct, forbid_unknown_fields=True):
    """A text that is not saved. `parameters` are those of a request to it; `based_on` is the hash of the text it replaces."""

    text: str
    parameters: dict[str, list[Any]] = {}
    based_on: str = ""


@blueprint.before_request
def _refuse_others() -> None:
    refuse_to_edit(shop().settings, request)


@blueprint.route("/draft", methods=["POST"])
def try_draft(name: str) -> Response:
    """What is wrong with a text, and what would be made of it."""
    entry = shop().library.draft(name, _draft(name).text)
    made = None
    if entry.pipe:
        made = {**rules_of(entry.pipe), "parameters": described(name, entry)["parameters"]}
    return shown({"findings": entry.findings, "made": made})


@blueprint.route("/preview", methods=["POST"])
def preview(name: str) -> Response:
    """What a text would answer from the shop as it is."""
    draft = _draft(name)
    pipe = _sound(name, draft.text)
    return shown(body_of(answer_by(shop().library, shop().warehouse, pipe, draft.parameters, shop().clock())))


@blueprint.route("/save", methods=["POST"])
def save_draft(name: str) -> Response:
    """Only a text that answers: a broken file would leave the service without one at its next start."""
    draft = _draft(name)
    _sound(name, draft.text)
    source = save(shop().library.folder, name, draft.text, draft.based_on)
    entry = shop().library.entry(name)
    return shown({"hash": source.hash, "version": entry.pipe.version if entry.pipe else ""})


@blueprint.route("/cases", methods=["POST"])
def cases(name: str) -> Response:
    """Of the text as it is saved."""
    shop().library.entry(name)  # it must be a pipe
    try:
        return shown({"cases": run_cases(shop().settings, name)})
    except Unusable as error:
        raise BadRequest(error.message, error.hint) from error


def _draft(name: str) -> Draft:
    shop().library.entry(name)  # it must be a pipe
    if request.content_length is None or request.content_length > MAX_BODY:
        raise TooLarge(f"a pipe has at most {MAX_TEXT:,} characters", "Send a length with it")
    if request.mimetype != "application/json":
        raise BadRequest("the body is not JSON", "Send it as application/json")
    try:
        return msgspec.json.decode(request.get_data(), type=Draft)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body cannot be read: {error}", 'Send {"text": "…"}') from error


def _sound(name: str, text: str) -> Pipe:
    """Raises NotSaved with the first thing that keeps the text from answering."""
    entry = shop().library.draft(name, text)
    if entry.pipe is None:
        fault = entry.fault or PipeFault("it does not answer")
        raise NotSaved(f"line {fault.line}: {fault.message}" if fault.line else fault.message, fault.hint)
    return entry.pipe
