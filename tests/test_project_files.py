"""What is no file never hangs or stops a project: it is a finding of its place, and everything else goes on."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from alsobought.authoring.case_files import read_cases
from alsobought.errors import MigrationFault, NoSuchPipe, NotSaved, PipeFault, Unusable
from alsobought.migrations.files import migrations
from alsobought.pipes.bot_file import bots_of
from alsobought.pipes.library import Library
from alsobought.pipes.source_file import read_source
from alsobought.project_files import NotReadable, read_file
from alsobought.storage.serving_tables import serving_tables

GOOD = "-- T.\n-- :limit UInt16 = 9  How many.\nselect item_id from items order by item_id limit {{ limit }}\n"


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def unix_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def link_out(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50_000_000_000)


def not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


PLANTED: dict[Callable[[Path], None], str] = {
    fifo: "it is a named pipe of the system",
    folder: "it is a folder",
    unix_socket: "it is a socket",
    device: "it is a device",
    loop: "it is a symbolic link to itself",
    link_to_nothing: "link to nothing|no such file or directory",
    link_out: "it is a symbolic link that leads out of the project",
    huge: "more than 800,000 bytes|more than 16,000,000 bytes",
    not_text: "not UTF-8 text|not in UTF-8|cannot be read as text|unacceptable character",
}


@pytest.fixture(autouse=True)
def no_hanging() -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise AssertionError("reading hangs")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 20)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("pipes", "sql/macros", "sql/parameters", "sql/serving", "migrations", "tests/pipes"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pipes" / "good.sql").write_text(GOOD)
    (tmp_path / "migrations" / "0001_a.sql").write_text(
        "-- A.\ncreate table {{ database }}.a (x UInt8) engine = Null\n"
    )
    return tmp_path


@pytest.fixture(params=PLANTED, ids=lambda plant: plant.__name__)
def plant(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """Plants something at a path, and returns what its finding must match."""

    def planted(path: Path) -> str:
        request.param(path)
        return PLANTED[request.param]

    return planted


def library(home: Path) -> Library:
    return Library(
        home / "pipes",
        home / "sql" / "macros",
        lambda: {"items": {"item_id": "String"}},
        lambda _, __: [("item_id", "String")],
    )


def test_in_pipes_it_is_the_fault_of_its_pipe(home: Path, plant: Callable[[Path], str]) -> None:
    expected = plant(home / "pipes" / "bad.sql")
    pipes = library(home)
    assert pipes.names() == ["bad", "good"]
    assert pipes["good"].tables == ["items"]
    with pytest.raises(PipeFault, match=expected):
        raise pipes.entry("bad").faults[0]
    with pytest.raises((NotSaved, NoSuchPipe)):
        read_source(home / "pipes", "bad")


@pytest.mark.parametrize(
    ("file", "use"),
    [("macros/bad.sql", "{% from 'bad.sql' import x %}"), ("bad.csv", "{% from 'bad.csv' import bad %}{{ bad('a') }}")],
)
def test_in_sql_it_is_the_fault_of_the_pipes_that_use_it(
    home: Path, plant: Callable[[Path], str], file: str, use: str
) -> None:
    expected = plant(home / "sql" / file)
    (home / "pipes" / "user.sql").write_text(GOOD.replace("select", f"{use}select"))
    pipes = library(home)
    assert pipes["good"].tables == ["items"]
    for fault in (pipes.entry("user").faults[0], (*pipes.csv_faults("bad.csv"),) if file == "bad.csv" else ()):
        if isinstance(fault, PipeFault):
            with pytest.raises(PipeFault, match=expected):
                raise fault
    reported = pipes.macro_faults() | {path.name: pipes.csv_faults(path.name) for path in pipes.csv_files()}
    with pytest.raises(PipeFault, match=expected):
        raise reported[file][0]


def test_in_parameter_groups_it_is_a_fault_of_the_group(home: Path, plant: Callable[[Path], str]) -> None:
    expected = plant(home / "sql" / "parameters" / "bad.sql")
    pipes = library(home)
    assert pipes["good"].tables == ["items"]
    with pytest.raises(PipeFault, match=expected):
        raise pipes.group_faults()["parameters/bad.sql"][0]


def test_in_migrations_it_is_a_fault_that_names_the_file(home: Path, plant: Callable[[Path], str]) -> None:
    expected = plant(home / "migrations" / "0002_bad.sql")
    with pytest.raises(MigrationFault, match="0002_bad") as raised:
        migrations(home / "migrations")
    assert raised.match(expected)


def test_among_cases_it_is_a_fault_that_names_the_file(home: Path, plant: Callable[[Path], str]) -> None:
    expected = plant(home / "tests" / "pipes" / "bad.yaml")
    with pytest.raises(Unusable, match=r"cannot read bad\.yaml") as raised:
        read_cases(home / "tests" / "pipes" / "bad.yaml")
    assert raised.match(expected)


def test_among_serving_tables_it_is_a_fault_that_names_the_file(home: Path, plant: Callable[[Path], str]) -> None:
    plant(home / "sql" / "serving" / "bad.sql")
    with pytest.raises(Unusable, match=r"bad\.sql"):
        serving_tables(home, "alsobought")


def test_among_intake_files_that_of_the_package_holds(home: Path, plant: Callable[[Path], str]) -> None:
    plant(home / "sql" / "bots.csv")
    assert bots_of(home)


def test_a_link_within_the_project_is_read(home: Path) -> None:
    (home / "sql" / "shared.sql").write_text(GOOD)
    (home / "pipes" / "linked.sql").symlink_to("../sql/shared.sql")
    assert library(home)["linked"].tables == ["items"]


def test_a_folder_that_is_a_link_is_read(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As a mounted volume: its files are links to others in the same folder."""
    elsewhere = tmp_path_factory.mktemp("volume")
    (elsewhere / "..data").mkdir()
    (elsewhere / "..data" / "a.sql").write_text(GOOD)
    (elsewhere / "a.sql").symlink_to("..data/a.sql")
    (home / "linked").symlink_to(elsewhere)
    assert read_file(home / "linked" / "a.sql").decode() == GOOD
    (elsewhere / "b.sql").symlink_to("/etc/passwd")
    with pytest.raises(NotReadable, match="leads out of the project"):
        read_file(home / "linked" / "b.sql")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_the_fault_of_its_pipe(home: Path) -> None:
    (home / "pipes" / "bad.sql").write_text(GOOD)
    (home / "pipes" / "bad.sql").chmod(0)
    pipes = library(home)
    assert pipes["good"].tables == ["items"]
    with pytest.raises(PipeFault, match=r"bad\.sql cannot be read: permission denied"):
        raise pipes.entry("bad").faults[0]


def test_a_link_may_lead_to_a_file_of_another_project_but_to_nothing_else_there(tmp_path: Path) -> None:
    for shop in ("berlin", "turku"):
        for folder in ("pipes", "sql", "migrations", "data"):
            (tmp_path / shop / folder).mkdir(parents=True)
    for name in ("sql/rules.csv", "data/secret"):
        (tmp_path / "berlin" / name).write_text("text")
        (tmp_path / "turku" / "sql" / Path(name).name).symlink_to(tmp_path / "berlin" / name)
    assert read_file(tmp_path / "turku" / "sql" / "rules.csv") == b"text"
    with pytest.raises(NotReadable, match="leads out of the project"):
        read_file(tmp_path / "turku" / "sql" / "secret")
