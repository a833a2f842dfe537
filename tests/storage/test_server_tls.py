"""ClickHouse over TLS: what is verified, and the message for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alsobought.errors import AlsoboughtError
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from tests.support.certificates import Authority, Certificate
from tests.support.clickhouse_server import clickhouse_server
from tests.support.tls_proxy import tls_proxy

USERS = """<clickhouse>
    <users>
        <default><password/><profile>default</profile><quota>default</quota></default>
        <shop><password>any</password><profile>default</profile><quota>default</quota></shop>
    </users>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
</clickhouse>"""


class Doors:
    """Ports of one server: without TLS, with it, under another name, and with a client certificate only."""

    def __init__(self, folder: Path, plain: int) -> None:
        self.authority, self.others, self.plain = Authority(folder / "ca"), Authority(folder / "others"), plain
        self.client = self.authority.issue("client")
        self.secured = self.named = self.mutual = 0

    @property
    def ca(self) -> str:
        return str(self.authority.ca)

    def certificate(self, name: str) -> Certificate:
        return self.authority.issue("server", name)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    (folder / "users.xml").write_text(USERS)
    with clickhouse_server(config=f"<users_config>{folder}/users.xml</users_config>") as started:
        made = Doors(folder, started.port)
        right, named = made.authority.issue("server", "IP:127.0.0.1"), made.authority.issue("named", "DNS:db.example")
        with (
            tls_proxy(made.plain, right) as made.secured,
            tls_proxy(made.plain, named) as made.named,
            tls_proxy(made.plain, right, made.authority.ca) as made.mutual,
        ):
            yield made


def opened(scheme: str, port: int, **settings: object) -> str:
    """Who the server takes us for. Raises the error of the connection."""
    dsn = f"{scheme}://shop:any@127.0.0.1:{port}"  # without a password, a certificate would stand for the user
    warehouse = open_warehouse(Settings(dsn=dsn, database="doors", **settings), create=True)  # type: ignore[arg-type]
    try:
        return str(warehouse.value("select currentDatabase()"))
    finally:
        warehouse.close()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # the driver ignores it when imported, pytest only in that test
def test_a_server_is_reached_over_tls_that_is_verified(doors: Doors) -> None:
    client = {"dsn_certificate": str(doors.client.certificate), "dsn_key": str(doors.client.key)}
    assert opened("https", doors.secured, dsn_ca=doors.ca) == "doors"
    assert opened("https", doors.mutual, dsn_ca=doors.ca, **client) == "doors"
    assert opened("https", doors.named, dsn_verify=False) == "doors"
    reader = f"https://shop:any@127.0.0.1:{doors.secured}"
    assert opened("http", doors.plain, reader_dsn=reader, dsn_ca=doors.ca) == "doors"
    with pytest.raises(AlsoboughtError, match=r"not signed by a known authority: .* Set ALSOBOUGHT_DSN_CA"):
        opened("http", doors.plain, reader_dsn=reader)


@pytest.mark.parametrize(
    ("scheme", "door", "settings", "expected"),
    [
        (
            "https",
            "secured",
            {},
            "is not trusted: its certificate is not signed by a known authority: .*ALSOBOUGHT_DSN_CA",
        ),
        ("https", "secured", {"dsn_ca": "others"}, "is not signed by a known authority: .*ALSOBOUGHT_DSN_CA"),
        (
            "https",
            "named",
            {"dsn_ca": "ca"},
            "is not for the name 127.0.0.1. Use a name of the certificate in ALSOBOUGHT_DSN",
        ),
        (
            "https",
            "plain",
            {"dsn_ca": "ca"},
            "does not speak TLS on this port. Use its port for https in ALSOBOUGHT_DSN",
        ),
        ("http", "secured", {}, "speaks TLS on this port. Write https:// in ALSOBOUGHT_DSN"),
        ("https", "mutual", {"dsn_ca": "ca"}, "asks for a client certificate. Set ALSOBOUGHT_DSN_CERTIFICATE"),
        ("https", "secured", {"dsn_ca": "/no/file"}, "ALSOBOUGHT_DSN_CA: /no/file cannot be read: no such file"),
    ],
)
def test_what_is_wrong_is_named_by_its_setting(
    doors: Doors, scheme: str, door: str, settings: dict[str, str], expected: str
) -> None:
    files = {"ca": doors.ca, "others": str(doors.others.ca)}
    chosen = {name: files.get(value, value) for name, value in settings.items()}
    with pytest.raises(AlsoboughtError, match=expected):
        opened(scheme, getattr(doors, door), **chosen)
