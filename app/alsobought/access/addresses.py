"""Addresses of callers, and the proxies that may name another one. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PRIVATE = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)


def networks(names: Iterable[str]) -> list[Network]:
    """The networks of proxies; `private` stands for loopback and private ones. Raises ValueError."""
    return [
        ipaddress.ip_network(net, strict=False) for name in names for net in (PRIVATE if name == "private" else (name,))
    ]


def read_address(text: str) -> Address | None:
    """The address; of an IPv4 address in the form of IPv6, the former. None for a text that is none.

    >>> [str(read_address(text)) for text in ("[fe80::1%eth0]", "::ffff:10.0.0.7", "shop.example")]
    ['fe80::1', '10.0.0.7', 'None']
    """
    try:
        address = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_listed(text: str, proxies: Sequence[Network]) -> bool:
    """True if one of the networks has this address.

    >>> is_listed("::ffff:10.0.0.7", networks(["10.0.0.0/8"])), is_listed("", networks(["private"]))
    (True, False)
    """
    address = read_address(text)
    return address is not None and any(address in network for network in proxies)


def client_address(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """The address of a caller, behind known proxies the last one that none of them has.

    >>> client_address("10.0.0.2", ["6.6.6.6, 9.9.9.9"], networks(["private"]))
    '9.9.9.9'
    """
    client = peer
    for hop in (peer, *(hop for line in reversed(forwarded) for hop in reversed(line.split(",")))):
        if (address := read_address(hop)) is None:
            break
        client = str(address)
        if not is_listed(hop, proxies):
            break
    return client


def counted_address(client: str) -> str:
    """What limits count by: of an IPv6 address its /64.

    >>> counted_address("2001:db8::7"), counted_address("9.9.9.9"), counted_address("")
    ('2001:db8::/64', '9.9.9.9', '')
    """
    address = read_address(client)
    if address is not None and address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return client


def split_url(text: str) -> SplitResult:
    """The parts of a URL that somebody else wrote; of one with broken brackets, none.

    >>> split_url("https://shop.example/tea").netloc, split_url("https://[").netloc
    ('shop.example', '')
    """
    try:
        return urlsplit(text)
    except ValueError:
        return SplitResult("", "", "", "", "")
