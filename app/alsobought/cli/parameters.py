"""Parse `name=value` arguments into the parameters of a request."""

from __future__ import annotations

from collections.abc import Sequence

from alsobought.errors import Unusable


def parse_parameters(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Parses `["item_id=tea", "limit=3"]`; a repeated name has several values. Raises Unusable."""
    parameters: dict[str, list[str]] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise Unusable(f"{argument!r} is not a parameter", "Write it as name=value")
        parameters.setdefault(name, []).append(value)
    return parameters
