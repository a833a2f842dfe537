"""Rates, on a clock of our own."""

from __future__ import annotations

import pytest

from alsobought.access.addresses import client_address, counted_address, networks
from alsobought.access.limits import Limiter, Rate, rate_headers, read_rate
from alsobought.errors import Unusable

TEN = Rate(10, 60)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sent(limiter: Limiter, times: int, caller: str = "a") -> int:
    """How many of so many requests are allowed."""
    return sum(limiter.hit(caller, TEN).allowed for _ in range(times))


def test_a_caller_sends_its_limit_at_once_and_then_at_its_rate(clock: Clock) -> None:
    limiter = Limiter(clock=clock)
    assert sent(limiter, 25) == 10
    clock.now += 6
    assert sent(limiter, 5) == 1
    clock.now += 600
    assert sent(limiter, 25) == 10


def test_no_edge_of_a_window_doubles_the_limit(clock: Clock) -> None:
    limiter = Limiter(clock=clock)
    total = 0
    for _ in range(120):
        total += sent(limiter, 1)
        clock.now += 0.5
    assert total <= 20


def test_callers_do_not_affect_each_other(clock: Clock) -> None:
    limiter = Limiter(clock=clock)
    assert (sent(limiter, 20, "a"), sent(limiter, 20, "b")) == (10, 10)


def test_each_process_allows_its_share(clock: Clock) -> None:
    assert sent(Limiter(4, clock), 20) == 3


def test_a_million_addresses_do_not_fill_the_memory(clock: Clock) -> None:
    limiter = Limiter(clock=clock, max_callers=1000)
    for number in range(20_000):
        limiter.hit(number, TEN)
    assert len(limiter) == 1000


def test_the_headers_are_those_of_the_draft(clock: Clock) -> None:
    limiter = Limiter(clock=clock)
    assert rate_headers(limiter.hit("a", TEN)) == {
        "RateLimit-Policy": '"requests";q=10;w=60',
        "RateLimit": '"requests";r=9;t=6',
    }
    sent(limiter, 9)
    refused = rate_headers(limiter.hit("a", TEN))
    assert (refused["RateLimit"], refused["Retry-After"]) == ('"requests";r=0;t=60', "6")


@pytest.mark.parametrize("text", ["10", "0/minute", "10/day", "x/minute", "-1/second"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match="is not a rate"):
        read_rate(text)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("9.9.9.9", [], "9.9.9.9"),
        ("9.9.9.9", ["1.1.1.1"], "9.9.9.9"),
        ("127.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("127.0.0.1", ["8.8.8.8, 1.1.1.1, 10.0.0.1"], "1.1.1.1"),
        ("127.0.0.1", ["8.8.8.8", "1.1.1.1"], "1.1.1.1"),
        ("127.0.0.1", ["nonsense"], "127.0.0.1"),
        ("2001:db8:1:2:3::4", [], "2001:db8:1:2::/64"),
        ("::ffff:9.9.9.9", [], "9.9.9.9"),
        ("", [], ""),
    ],
)
def test_an_address_is_that_of_the_caller_and_not_one_that_it_invents(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert counted_address(client_address(peer, forwarded, networks(["private"]))) == expected
