"""Numbers of reports as people write them."""

from __future__ import annotations


def signed(lift: float) -> str:
    """
    >>> signed(0.0412), signed(-0.2), signed(0)
    ('+4.1 %', '-20 %', '0 %')
    """
    return f"{'+' if lift > 0 else ''}{percent(lift)}"


def percent(share: float) -> str:
    """
    >>> percent(0.45), percent(0.0412), percent(2.5), percent(0.00012)
    ('45 %', '4.1 %', '250 %', '0.01 %')
    """
    size = abs(share * 100)
    digits = 0 if size >= 10 or not size else 1 if size >= 0.1 else 2
    text = f"{share * 100:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"
