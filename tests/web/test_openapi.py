"""The OpenAPI document is valid, and generated requests are answered as documented."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from alsobought.service.service import Service
from alsobought.web.factory import create_app
from alsobought.web.openapi_endpoints import OPERATION_IDS
from tests.support.project import project_folder
from tests.support.web import VIEW, buy

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
STRANGE = {
    # Every kind of column, numbers that are none, and a name that is also an operation's.
    "metrics": """-- Strange columns.
--
-- :n     Int64 = 0         a number
-- :part  Float64?          a fraction
-- :pick  String = a (a, b)  one of two
-- :days  Array(Date)?      days
-- :at    DateTime?         a moment
-- :yes   Bool?             a switch
select
    {{ n }} as whole,
    {% if part %} {{ part }} / 0 {% else %} 0 / 0 {% endif %} as no_number,
    {{ pick }} as picked,
    {% if days %} {{ days }} {% else %} [toDate('2020-01-01')] {% endif %} as on_days,
    {% if at %} {{ at }} {% else %} toDateTime64('2020-01-01 00:00:00', 3, 'UTC') {% endif %} as moment,
    {% if yes %} {{ yes }} {% else %} false {% endif %} as switch,
    cast((9007199254740993, [1]) as Tuple(wide Int64, small Array(Int8))) as named,
    map('a', toUInt64(9007199254740993)) as keyed,
    cast('a' as Enum8('a' = 1)) as enumerated,
    cast('1.5', 'Decimal(38, 2)') as money,
    null as nothing,
    tuple(1, 'x') as pair
order by picked
limit 1
""",
    # Answered by another, with fewer columns of other types.
    "post_metrics": """-- Nothing of its own.
--
-- @fallback metrics  picked as whole
select toInt64(1) as whole, 'x' as missing, toDate('2020-01-01') as moment
from events
where item_id = 'no such thing'
order by all
limit 1
""",
}


@pytest.fixture(scope="module")
def shop(make_shared_shop: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The pipes of the project, and pipes with unusual columns and names."""
    home = tmp_path_factory.mktemp("home")
    project_folder(home)
    for name, text in STRANGE.items():
        (home / "pipes" / f"{name}.sql").write_text(text)
    shop = make_shared_shop(home=str(home))
    client = create_app(shop).test_client()
    buy(client, "o1", "tea", "mug")
    client.post("/events?wait=true", json=VIEW)
    return shop


@pytest.fixture(scope="module")
def client(shop: Service) -> FlaskClient:
    return create_app(shop).test_client()


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(client.get("/openapi.json").text)
    return document


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert set(STRANGE) < {path.removeprefix("/pipes/") for path in document["paths"]}, "the strange pipes are valid"
    for example in (
        example["value"]
        for response in document["components"]["responses"].values()
        for example in response["content"]["application/json"]["examples"].values()
    ):
        assert list(example) == ["error", "request_id"]


def test_every_path_of_the_service_is_in_the_document(client: FlaskClient, document: dict[str, Any]) -> None:
    rules = {rule.rule for rule in client.application.url_map.iter_rules()}
    rules = {rule for rule in rules if not rule.startswith("/workbench")}  # internal to the page
    rules = {re.sub(r"<path:(item_id|user_id|surface)>", r"{\1}", rule) for rule in rules}
    assert rules - set(document["paths"]) == {
        "/",
        "/docs",
        "/kit/<name>",
        "/pipes/<path:name>",
        "/static/<path:filename>",
    }


def test_columns_may_have_any_name(shop: Service, client: FlaskClient) -> None:
    names = ["description", "optional", "type", "items", "about", "required", "properties", "self"]
    pipe = Path(shop.settings.home) / "pipes" / "named.sql"
    columns = ", ".join(f"'x' as {name}" for name in names)
    pipe.write_text(f"-- Names.\nselect {columns} order by description limit 1\n")
    schemas = json.loads(client.get("/openapi.json").text)["components"]["schemas"]
    assert client.get("/docs").status_code == 200
    pipe.unlink()
    assert list(schemas["NamedRow"]["properties"]) == names
    assert {"description", "name"} < set(schemas["PipeParameter"]["properties"])


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(document)]
    assert len(set(ids)) == len(ids)
    assert set(OPERATION_IDS) < set(ids)
    assert {"also_bought", "post_also_bought", "metrics_pipe", "post_metrics", "post_metrics_pipe"} < set(ids)
    assert all(operation["tags"] for operation in operations(document))


def test_the_docs_page_shows_every_operation_and_schema(client: FlaskClient, document: dict[str, Any]) -> None:
    page = client.get("/docs").text
    for operation in operations(document):
        assert f'id="{operation["operationId"]}"' in page
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in page
    assert "<script" not in page
    home = client.get("/")
    assert 'href="docs"' in home.text
    home.close()


def test_the_header_of_a_pipe_cannot_inject_markup(shop: Service, client: FlaskClient) -> None:
    pipe = Path(shop.settings.home) / "pipes" / "markup.sql"
    pipe.write_text(
        "-- <script>alert(1)</script> & more.\n--\n-- :x  String = '<b>'  an <i>x</i>\nselect {{ x }} as y order by y limit 1\n"
    )
    page = client.get("/docs").text
    pipe.unlink()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more." in page
    assert "<script" not in page
    assert "<i>" not in page


def _send_generated_requests(client: FlaskClient, examples: int) -> int:
    """Send this many valid and invalid requests to each operation.

    Returns the number of requests.
    """
    schema = schemathesis.openapi.from_wsgi("/openapi.json", client.application)
    sent = 0
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=st.one_of(
                operation.as_strategy(), operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
            )
        )
        def ask(case: Any) -> None:
            nonlocal sent
            sent += 1
            case.call_and_validate(checks=CHECKS)

        ask()
    return sent


@pytest.mark.journey
@pytest.mark.thorough
def test_generated_requests_are_answered_as_documented(client: FlaskClient) -> None:
    assert _send_generated_requests(client, examples=3) > 40


@pytest.mark.thorough
def test_many_generated_requests_are_answered_as_documented(client: FlaskClient) -> None:
    assert _send_generated_requests(client, examples=150) > 2_500
