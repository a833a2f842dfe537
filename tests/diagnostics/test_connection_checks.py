"""What `doctor` finds about connections, certificates and the files of secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alsobought.diagnostics.connection_checks import check_connections, check_registry, check_secret_files
from alsobought.kafka.schema_registry import RegistryUnavailable
from alsobought.settings import Settings
from tests.support.certificates import Authority
from tests.support.process import free_port, write
from tests.support.registry import schema_registry
from tests.support.tls_proxy import tls_proxy


def found(**settings: object) -> list[tuple[str, str]]:
    return [(finding.state, finding.message) for finding in check_connections(Settings(**settings))]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    return Authority(tmp_path_factory.mktemp("ca"))  # type: ignore[return-value]


def test_passwords_beyond_this_machine_are_encrypted() -> None:
    assert found() == []
    assert found(dsn="http://ann:s3cret@127.0.0.1:8123") == [
        ("ok", "the connection to 127.0.0.1:8123 stays on this machine, unencrypted")
    ]
    dsn = "http://ann:s3cret@db.example"
    assert found(dsn=dsn, reader_dsn=dsn) == [("warning", "a password is sent to db.example:8123 unencrypted")]
    assert found(dsn="http://ann@db.example")[0][0] == "ok"
    sasl = {"kafka": "kafka.example:9092", "kafka_protocol": "sasl_plaintext"}
    assert found(**sasl) == [("warning", "a password is sent to kafka.example:9092 unencrypted")]
    assert found(kafka="kafka.example:9092")[0][0] == "ok"
    token = found(kafka_token_url="http://login.example/token")  # noqa: S106
    assert token == [("warning", "a password is sent to login.example:80 unencrypted")]
    registry = {"registry": "http://registry.example:8081", "registry_user": "ann"}
    assert found(**registry) == [("warning", "a password is sent to registry.example:8081 unencrypted")]


def test_certificates_that_expire_soon_and_one_that_is_not_verified(authority: Authority) -> None:
    client = {"kafka_certificate": str(authority.issue("client", days=20).both), "kafka_ca": str(authority.ca)}
    with tls_proxy(1, authority.issue("server", "IP:127.0.0.1", days=10)) as port:
        address = f"127.0.0.1:{port}"
        messages = [text for state, text in found(kafka=address, kafka_protocol="ssl", **client) if state == "warning"]
        assert len(messages) == 2
        assert messages[0].startswith(f"the certificate of {address} expires on ")
        assert messages[1].startswith(f"{client['kafka_certificate']}, of ALSOBOUGHT_KAFKA_CERTIFICATE, expires on ")
        state, message = found(kafka=address, kafka_protocol="ssl")[0]
        assert (state, "not signed by a known authority" in message) == ("fault", True)
        server = f"https://ann:s3cret@{address}"
        assert found(dsn=server, dsn_verify=False) == [
            ("warning", f"the certificate of {address} is not verified: ALSOBOUGHT_DSN_VERIFY is false")
        ]
    with tls_proxy(1, authority.issue("server", "IP:127.0.0.1", days=40)) as port:
        assert [state for state, _ in found(dsn=f"https://ann@127.0.0.1:{port}", dsn_ca=str(authority.ca))] == ["ok"]


@pytest.fixture
def opened_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that others can enter, as those above it."""
    closed = [folder for folder in (tmp_path, *tmp_path.parents) if not folder.stat().st_mode & 0o001]
    modes = {folder: folder.stat().st_mode for folder in closed}
    for folder, mode in modes.items():
        folder.chmod(mode | 0o001)
    yield tmp_path
    for folder, mode in modes.items():
        folder.chmod(mode)


def test_files_of_secrets_are_not_for_others(opened_folder: Path) -> None:
    file = write(opened_folder / "password", "s3cret")
    environ = {"ALSOBOUGHT_KAFKA_PASSWORD_FILE": str(file), "ALSOBOUGHT_KAFKA_USER": "ann"}
    for file_mode, folder_mode, state in ((0o644, 0o701, "warning"), (0o644, 0o700, "ok"), (0o640, 0o701, "ok")):
        file.chmod(file_mode)
        opened_folder.chmod(folder_mode)
        assert [finding.state for finding in check_secret_files(environ)] == [state]
    assert list(check_secret_files({})) == []


def test_the_registry_answers() -> None:
    with schema_registry() as registry:
        assert [finding.state for finding in check_registry(Settings(registry=registry.address))] == ["ok"]
    with pytest.raises(RegistryUnavailable):
        list(check_registry(Settings(registry=f"http://127.0.0.1:{free_port()}")))
    assert list(check_registry(Settings())) == []
