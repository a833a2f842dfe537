"""The editor of pipes: check a text, preview its answer, save it, run its cases.

These endpoints exist only with `alsobought serve --edit`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response, request

from alsobought.access.audit import changed_text
from alsobought.errors import BadRequest, NotSaved, PipeFault, TooLarge, Unusable
from alsobought.pipes.library import Pipe
from alsobought.pipes.source_file import read_source, save
from alsobought.pipes.text_files import MAX_TEXT
from alsobought.serving.answers import answer_with
from alsobought.web.access import principal
from alsobought.web.audit import recorded
from alsobought.web.case_runner import run_cases
from alsobought.web.context import service
from alsobought.web.guard import require_editor
from alsobought.web.pipe_endpoints import describe_entry
from alsobought.web.workbench_endpoints import describe_rules, uncached_response

blueprint = Blueprint("editing", __name__, url_prefix="/workbench/pipes/<name>")
MAX_BODY = 4 * MAX_TEXT  # bytes: the longest text, if every character takes four


class Draft(msgspec.Struct, forbid_unknown_fields=True):
    """An unsaved text.

    `parameters` are those of the preview; `based_on` is the hash of the text that it replaces.
    """

    text: str
    parameters: dict[str, list[Any]] = {}
    based_on: str = ""


@blueprint.before_request
def _require_editor() -> None:
    if principal().kind == "open":  # a key in the header Authorization is sent by no other site's page
        require_editor(service().settings, request)


@blueprint.route("/draft", methods=["POST"])
def check_draft(name: str) -> Response:
    """The findings in a text, and its rules and parameters if it has no error."""
    entry = service().library.draft(name, _read_draft(name).text)
    pipe = None
    if entry.pipe:
        pipe = {**describe_rules(entry.pipe), "parameters": describe_entry(name, entry)["parameters"]}
    return uncached_response({"findings": entry.findings, "pipe": pipe})


@blueprint.route("/preview", methods=["POST"])
def preview(name: str) -> Response:
    """The answer that a text gives from the current data."""
    draft = _read_draft(name)
    pipe = _valid_pipe(name, draft.text)
    running = service()
    answer = answer_with(running.library, running.warehouse, pipe, draft.parameters, running.clock())
    return uncached_response(answer.members)


@blueprint.route("/save", methods=["POST"])
def save_draft(name: str) -> Response:
    """Save a valid text.

    With a broken file the service would lack the pipe after its next start.
    """
    draft = _read_draft(name)
    _valid_pipe(name, draft.text)
    folder = service().library.folder
    old = read_source(folder, name)
    with recorded("pipe.save", f"pipes/{name}.sql", old=old.hash, **changed_text(old.text, draft.text)) as result:
        source = save(folder, name, draft.text, draft.based_on)
        result["new"] = source.hash
    entry = service().library.entry(name)
    return uncached_response({"hash": source.hash, "version": entry.pipe.version if entry.pipe else ""})


@blueprint.route("/cases", methods=["POST"])
def cases(name: str) -> Response:
    """Run the cases of the saved text."""
    service().library.entry(name)  # raises NoSuchPipe
    try:
        return uncached_response({"cases": run_cases(service().settings, name)})
    except Unusable as error:
        raise BadRequest(error.message, error.hint) from error


def _read_draft(name: str) -> Draft:
    service().library.entry(name)  # raises NoSuchPipe
    if request.content_length is None or request.content_length > MAX_BODY:
        raise TooLarge(f"a pipe has at most {MAX_TEXT:,} characters", "Send a shorter text, with Content-Length")
    if request.mimetype != "application/json":
        raise BadRequest("the body is not JSON", "Send it as application/json")
    try:
        return msgspec.json.decode(request.get_data(), type=Draft)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is invalid: {error}", 'Send {"text": "…"}') from error


def _valid_pipe(name: str, text: str) -> Pipe:
    """Raises NotSaved with the first error in the text."""
    entry = service().library.draft(name, text)
    if entry.pipe is None:
        fault = entry.fault or PipeFault("the text has an error")
        raise NotSaved(f"line {fault.line}: {fault.message}" if fault.line else fault.message, fault.hint)
    return entry.pipe
