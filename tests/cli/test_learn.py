"""`alsobought learn`: its options, with the deprecated names."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from alsobought.cli.learn import _options
from alsobought.cli.main import main
from alsobought.learning.protocol import current_options
from alsobought.learning.registry import LEARNERS


@pytest.mark.parametrize(
    ("learner", "arguments", "options"),
    [
        ("ranker", {"l2": 1.0, "caution": 2.0, "items": 10}, {"l2": 2.0, "items": 10}),
        ("ranker", {"l2": 3.0, "caution": None, "items": 10}, {"l2": 3.0, "items": 10}),
        ("embeddings", {"from": "brought", "groups": 5}, {"from": "external", "groups": 5}),
        ("embeddings", {"from": "titles", "groups": 5}, {"from": "titles", "groups": 5}),
    ],
)
def test_deprecated_options_are_accepted_with_a_warning(
    learner: str, arguments: dict[str, object], options: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    deprecated = options["l2"] == 2.0 if "l2" in options else options["from"] == "external"
    assert _options(LEARNERS[learner], dict(arguments)) == options
    assert ("is deprecated: use" in capsys.readouterr().err) == deprecated


def test_deprecated_options_of_the_library_are_accepted() -> None:
    assert current_options(LEARNERS["ranker"], {"caution": 2.0}) == {"l2": 2.0}
    assert current_options(LEARNERS["embeddings"], {"from": "brought"}) == {"from": "external"}


def test_help_shows_only_the_current_names() -> None:
    for learner in LEARNERS:
        output = CliRunner().invoke(main, ["learn", learner, "--help"], terminal_width=200).output
        assert "caution" not in output
        assert "brought" not in output
    ran = CliRunner().invoke(main, ["learn", "embeddings", "--from", "nothing"])
    assert ran.exit_code == 2
