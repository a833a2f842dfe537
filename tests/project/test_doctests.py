"""The examples in the docstrings of app/ are true."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator

import pytest

from tests.project.test_architecture import modules


def examples() -> Iterator[doctest.DocTest]:
    for module in modules():
        found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module))
        yield from (one for one in found if one.examples)


EXAMPLES = list(examples())


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 5


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_true(example: doctest.DocTest) -> None:
    said: list[str] = []
    result = doctest.DocTestRunner().run(example, out=said.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(said)
