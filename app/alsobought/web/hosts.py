"""Under which names the service answers, and which proxies it believes.

A page of another site can have its own name resolve to this machine (DNS rebinding), and then a browser
here sends its requests to us as if they were of one origin. Their Host betrays them: it has that name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable
from typing import Any

from werkzeug import Request
from werkzeug.middleware.proxy_fix import ProxyFix

from alsobought.access.addresses import is_listed, networks
from alsobought.errors import WrongHost
from alsobought.settings import Settings, trusted_proxies

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def require_allowed_host(names: Collection[str], request: Request) -> None:
    """Raises WrongHost for a request under another name than ours. One without a name, by HTTP/1.0, is of no browser."""
    header = request.headers.get("Host", "")
    if header and not is_allowed(host_name(header), names):
        raise WrongHost(
            f"the service has no name {header[:60]!r}",
            "Add it to ALSOBOUGHT_ALLOWED_HOSTS, or use localhost or the address of the machine",
        )


def is_allowed(host: str, names: Iterable[str]) -> bool:
    """True for an address, which no resolver has invented, for localhost, and for a listed name; `*.` stands for any sub-domain.

    >>> [is_allowed(host, ["shop.example", "*.shop.example"]) for host in ("shop.example", "a.shop.example", "evil.example")]
    [True, True, False]
    >>> [is_allowed(host, []) for host in ("127.0.0.1", "::1", "localhost", "127.0.0.1.evil.example")]
    [True, True, True, False]
    """
    if host == "localhost" or _is_address(host):
        return True
    return any(name in ("*", host) or (name.startswith("*.") and host.endswith(name[1:])) for name in names)


def host_name(header: str) -> str:
    """The name in Host, without the port.

    >>> [host_name(header) for header in ("Shop.Example:8080", "[::1]:8080", "shop.example.")]
    ['shop.example', '::1', 'shop.example']
    """
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].removesuffix(".")


def behind_proxies(app: Application, settings: Settings) -> Application:
    """The application, with the client, scheme, host and path prefix that a trusted proxy forwards; others are not believed."""
    trusted = networks(trusted_proxies(settings))
    if not trusted:
        return app
    forwarded: Application = ProxyFix(app, x_for=1, x_proto=1, x_host=1, x_prefix=1)

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_trusted = is_listed(environ.get("REMOTE_ADDR", ""), trusted)
        return (forwarded if is_trusted else app)(environ, start_response)

    return call


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
