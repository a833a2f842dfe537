"""A sample decides how its numbers are written, or it is a question."""

from __future__ import annotations

import pytest

from alsobought.loading.number_cells import NumberEvidence, reading


@pytest.mark.parametrize(
    ("text", "with_point", "with_comma"),
    [
        ("8", 8, 8),
        ("1.299", 1.299, 1299),
        ("1,299", 1299, 1.299),
        ("12,90", None, 12.9),
        ("0.348", 0.348, None),  # no thousand begins with 0
        ("1.2345", 1.2345, None),
        ("1.299.000", None, 1299000),
        ("1'299.50", 1299.5, None),
        ("1\u00a0299", 1299, 1299),
        ("12.90 EUR", 12.9, None),
        ("€ 12,90", None, 12.9),
        ("-3", -3, -3),
        ("1,2,3", None, None),
        ("EUR", None, None),
        ("", None, None),
    ],
)
def test_a_text_has_one_reading_with_each_decimal_mark(
    text: str, with_point: float | None, with_comma: float | None
) -> None:
    assert (reading(text, "."), reading(text, ",")) == (with_point, with_comma)


def evidence(*texts: str) -> NumberEvidence:
    collected = NumberEvidence()
    collected.add(texts, "Preis")
    return collected


@pytest.mark.parametrize(
    ("texts", "decimal"),
    [
        (["8", "149"], ""),
        (["8", "12.90"], "."),
        (["1.299", "12.90"], "."),
        (["12.90"] * 21 + ["7,20"], "."),  # one damaged row is rejected later
        (["12.90", "8.50", "7,20"], None),
        (["1.299"], None),
        (["8", "1.299", "2.450"], None),
        (["12,90", "1.299"], None),
        (["12,90", "12.90"], None),
    ],
)
def test_numbers_with_one_reading_decide(texts: list[str], decimal: str | None) -> None:
    assert evidence(*texts).decimal() == decimal


def test_the_question_shows_the_values_and_their_readings() -> None:
    assert evidence("149", "1.299", "2.450").question() == (
        "Preis has numbers with two readings: '1.299', '2.450'",
        "1.299 is 1,299 with --thousands . or 1.299 with --decimal .",
    )
    assert evidence("12,90", "1.234,56").question() == (
        "Preis has numbers with a decimal comma: '12,90', '1.234,56'",
        "Pass --decimal , (12,90 is 12.9)",
    )
    assert evidence("1\u00a0299,00 €", "8.50").question() == (
        "Preis has numbers with a decimal comma and with a decimal point: '1 299,00 €', '8.50'",
        "Pass --decimal , (1 299,00 € is 1,299.0) or --decimal . and the rows with the other mark are rejected",
    )
