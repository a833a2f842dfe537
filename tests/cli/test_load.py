"""`alsobought load` in a process of its own: stored rows, rejected rows, output and errors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.support.process import Run, assert_error, running, write
from tests.support.web import VIEW

CUSTOMERS = "customer,sku,when,colour\n17,tea,2026-01-02 10:00:00,red\n18,mug,1975-06-01,\n"
FLAGS = ("--map", "user_id=customer", "--map", "item_id=sku", "--map", "timestamp=when", "--set", "event_type=view")


@pytest.fixture
def run(run_migrated: Run) -> Run:
    """Commands on a folder of this test's own."""
    return run_migrated


@pytest.fixture
def run_new(tmp_path: Path) -> Run:
    """Commands on a folder that does not exist yet."""
    return running(tmp_path / "data")


def test_rejected_lines_are_printed_with_their_number_and_the_others_are_stored_once(run: Run, tmp_path: Path) -> None:
    lines = [VIEW, "", "nonsense", VIEW | {"event_type": "buy"}, VIEW | {"item_id": "mug"}, VIEW | {"quantity": -1}]
    file = write(tmp_path / "e.ndjson", *lines)
    ran = run("load", "events", file)
    assert ran.status == 1
    faults = [line for line in ran.err.splitlines() if line.startswith(str(file))]
    assert [line.removeprefix(f"{file}:").split(":")[0] for line in faults] == ["3", "4", "6"]
    assert "'buy' is not one of" in faults[1]
    assert "quantity: expected" in faults[2]
    assert "Traceback" not in ran.err
    assert ran.out == f"{file}: 2 events stored, 0 duplicates, 3 rejected\n"
    assert run("load", "events", file).out == f"{file}: 0 events stored, 2 duplicates, 3 rejected\n"
    rows = json.loads(run("pipe", "run", "recently_viewed", "user_id=u").out)
    assert [row["item_id"] for row in rows] == ["mug", "tea"]


def test_loaded_files_appear_in_answers(run: Run, tmp_path: Path) -> None:
    items = write(tmp_path / "items.ndjson", {"item_id": "tea", "title": "Green [tea]", "category": "Kitchen"})
    file, second = write(tmp_path / "1.ndjson", VIEW), write(tmp_path / "2.ndjson", VIEW | {"user_id": "v"})
    assert run("load", "items", items).out == f"{items}: 1 items stored, 0 duplicates, 0 rejected\n"
    ran = run("load", "events", file, second)
    assert (ran.status, ran.out.count(": 1 events stored, 0 duplicates, 0 rejected")) == (0, 2)
    (row,) = json.loads(run("pipe", "run", "recently_viewed", "user_id=v").out)
    assert (row["title"], row["category"]) == ("Green [tea]", "Kitchen")


def test_a_file_that_cannot_be_read_is_an_error_and_nothing_is_loaded(run_new: Run, tmp_path: Path) -> None:
    good = write(tmp_path / "good.ndjson", VIEW)
    assert_error(
        run_new("load", "events", good, tmp_path / "missing.ndjson"), "missing.ndjson cannot be read: no such file"
    )
    assert_error(run_new("load", "events", good, tmp_path), "cannot be read: is a directory")
    secret = write(tmp_path / "secret.ndjson", VIEW)
    secret.chmod(0)
    assert_error(
        run_new.unprivileged("load", "events", good, secret), "secret.ndjson cannot be read: permission denied"
    )
    assert not (tmp_path / "data").exists()


def events(run: Run, columns: str) -> list[list[object]]:
    text = f"""
        import json
        from alsobought.settings import from_environment
        from alsobought.storage.clickhouse import open_warehouse
        warehouse = open_warehouse(from_environment())
        print(json.dumps(warehouse.trusted_rows("select {columns} from alsobought.events order by seq").data))
        warehouse.close()
    """
    rows: list[list[object]] = json.loads(run.python(text))
    return rows


def test_columns_are_mapped_set_dropped_and_kept(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(CUSTOMERS)
    assert run("load", "events", file, *FLAGS, "--keep-rest").status == 0
    assert events(run, "user_id, item_id, event_type, toString(timestamp), properties") == [
        ["17", "tea", "view", "2026-01-02 10:00:00.000", '{"colour":"red"}'],
        ["18", "mug", "view", "1975-06-01 00:00:00.000", ""],
    ]
    dropped = running(tmp_path / "other")
    assert dropped("load", "events", file, *FLAGS, "--drop", "colour").status == 0
    assert events(dropped, "properties") == [[""], [""]]


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (FLAGS, ["'colour' is not a field of events", "--keep-rest", "--drop colour"]),
        (FLAGS[2:], ["'customer', 'colour' are not fields of events", "--drop customer"]),
        ((*FLAGS[:-2], "--drop", "colour"), ["no column event_type", "--set event_type=VALUE"]),
        ((*FLAGS, "--drop", "color"), ["has no column 'color'", "customer, sku, when, colour"]),
        (("--map", "user=customer"), ["user is not a field of events", "user_id"]),
        (("--set", "event_type=buy"), ["--set event_type=buy: 'buy' is not one of", "purchase"]),
        (("--set", "quantity=two"), ["--set quantity=two: 'two' is not a number"]),
        (("--map", "item_id=sku", "--set", "item_id=tea"), ["item_id is both mapped and set"]),
        (("--delimiter", ";"), ["the header is one column", "--delimiter ','"]),
        (("--format", "parquet"), ["not Parquet"]),
        (("--format", "json"), ["not a JSON array"]),
        (("--source", "x"), ["--source names standard input"]),
    ],
)
def test_flags_that_do_not_fit_the_file_are_an_error_and_nothing_is_stored(
    run_new: Run, tmp_path: Path, flags: tuple[str, ...], parts: list[str]
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(CUSTOMERS)
    assert_error(run_new("load", "events", file, *flags), *parts)
    assert sorted(tmp_path.iterdir()) == [file]


def test_unknown_fields_of_objects_are_one_error_with_the_nearest_name(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "e.ndjson", *({**VIEW, "qty": 2} for _ in range(50)))
    assert_error(run("load", "events", file), "'qty' is not a field", "--map quantity=qty", "--keep-rest")
    assert run("load", "events", file, "--map", "quantity=qty").status == 0
    assert events(run, "distinct quantity") == [[2]]


def test_rejected_rows_are_written_unchanged_and_counted_by_kind(run: Run, tmp_path: Path) -> None:
    bad = [VIEW | {"quantity": -number} for number in range(1, 31)]
    file = write(tmp_path / "e.ndjson", "nonsense [1]", *bad, *(VIEW for _ in range(40)))
    ran = run("load", "events", file)
    assert ran.status == 1
    assert ran.err.count(f"{file}:") == 20
    assert f"{file}:1: not JSON" in ran.err
    assert "… and 11 more rows" in ran.err
    assert "30 times: quantity: expected" in ran.err
    lines = [json.loads(line) for line in (tmp_path / "e.ndjson.rejected.ndjson").read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(1, 32))
    assert [line["given"] for line in lines] == ["nonsense [1]", *bad]
    assert all(line.keys() == {"row", "problem", "given"} for line in lines)


def test_rejected_rows_go_to_the_named_file_unless_it_has_something_else(run: Run, tmp_path: Path) -> None:
    file, precious = write(tmp_path / "e.ndjson", VIEW, "nonsense"), write(tmp_path / "precious", VIEW)
    assert_error(run("load", "events", file, "--rejected", precious), "precious exists and has no rejected rows in it")
    assert json.loads(precious.read_text()) == VIEW
    assert run("load", "events", file, "--rejected", tmp_path / "rejected").status == 1
    assert json.loads((tmp_path / "rejected").read_text())["row"] == 2
    assert_error(run("load", "events", file, precious, "--rejected", "r"), "--rejected is for one file")


def test_without_rejected_rows_no_file_is_created(run_new: Run, tmp_path: Path) -> None:
    assert run_new("load", "events", write(tmp_path / "e.ndjson", VIEW)).status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "e.ndjson"]


def test_a_wrong_mapping_is_an_error_before_anything_is_stored_unless_forced(run_new: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "e.ndjson", *(VIEW if n % 3 == 0 else VIEW | {"event_type": "buy"} for n in range(3000)))
    assert_error(
        run_new("load", "events", file),
        "666 of the first 1000 rows",
        "'buy' is not one of",
        "mapping is probably wrong",
        "--force",
    )
    assert sorted(tmp_path.iterdir()) == [file]
    ran = run_new("load", "events", file, "--force")
    assert (ran.status, ran.out) == (1, f"{file}: 1,000 events stored, 0 duplicates, 2,000 rejected\n")


def test_a_dry_run_counts_rows_and_stores_nothing(run_new: Run, tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.ndjson", VIEW), write(tmp_path / "bad.ndjson", VIEW, "nonsense")
    ran = run_new("load", "events", good, "--dry-run")
    assert ran.status == 0
    assert ran.out == (
        '{"event_type":"view","item_id":"tea","user_id":"u"}\n'
        f"{good}: 1 events would be stored, 0 would be rejected\n"
    )
    ran = run_new("load", "events", good, bad, "--dry-run")
    assert ran.status == 1
    assert ran.out.endswith(f"{bad}: 1 events would be stored, 1 would be rejected\n")
    assert f"{bad}:2: not JSON" in ran.err
    assert sorted(tmp_path.iterdir()) == [bad, good]


def test_rejected_rows_of_a_loaded_file_are_stored_once_they_are_accepted(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "e.ndjson", VIEW, VIEW | {"event_type": "rent"}, VIEW | {"event_type": "lend"}, VIEW)
    assert run("load", "events", file).out.endswith(": 2 events stored, 0 duplicates, 2 rejected\n")
    ran = run("load", "events", file, ALSOBOUGHT_EVENT_TYPES="rent")
    assert ran.out.endswith(": 1 events stored, 2 duplicates, 1 rejected\n")
    assert len((tmp_path / "e.ndjson.rejected.ndjson").read_text().splitlines()) == 1
    ran = run("load", "events", file, ALSOBOUGHT_EVENT_TYPES="rent,lend")
    assert (ran.status, ran.out.endswith(": 1 events stored, 3 duplicates, 0 rejected\n")) == (0, True)
    assert not (tmp_path / "e.ndjson.rejected.ndjson").exists()


def test_presets_are_listed_and_shown_without_a_file(run_new: Run, tmp_path: Path) -> None:
    ran = run_new("load", "--presets")
    assert ran.status == 0
    assert "shopify-orders        events  Shopify: Orders" in ran.out
    ran = run_new("load", "events", "--format", "retailrocket", "--show", "--where", "event=view")
    assert ran.out.splitlines()[:2] == ["alsobought load events FILE \\", "  --format csv \\"]
    assert "  --map-value event_type=addtocart:add_to_cart \\" in ran.out
    assert "  --where event=view \\" in ran.out
    assert sorted(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (("--where", "paid"), ["'paid' is not of the form COLUMN=VALUE"]),
        (("--map-value", "event_type=view"), ["is not of the form FIELD=OLD:NEW"]),
        (("--thousands", "x"), ["'x' is not one of ., a comma, space and '"]),
    ],
)
def test_flags_of_another_form_are_an_error_of_usage(run_new: Run, flags: tuple[str, ...], parts: list[str]) -> None:
    ran = run_new("load", "events", "e.csv", *flags)
    assert ran.status == 2
    for part in parts:
        assert part in ran.err
    assert run_new("load", "events").err.endswith("Error: Missing argument 'FILES...'.\n")


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (("--format", "shopfy"), ["'shopfy' is not known", "load --presets lists them"]),
        (("--format", "shopify-products"), ["is for items"]),
        (("--time-zone", "Berlin"), ["'Berlin' is not a time zone", "Europe/Berlin"]),
        (("--epoch", "s", "--time-format", "%Y"), ["--epoch and --time-format are both given"]),
        (("--decimal", ",", "--thousands", ","), ["--decimal and --thousands are both ,"]),
        (("--where", "colour2=red"), ["--where: ", "has no column 'colour2'"]),
        (("--fill-down", "colour2"), ["--fill-down: ", "has no column 'colour2'"]),
        (("--each", "colour2"), ["--each: ", "has no column 'colour2'"]),
        (("--map-value", "usr=a:b"), ["usr is not a field of events"]),
    ],
)
def test_flags_about_columns_and_formats_are_checked_before_anything_is_stored(
    run_new: Run, tmp_path: Path, flags: tuple[str, ...], parts: list[str]
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(CUSTOMERS)
    assert_error(run_new("load", "events", file, *FLAGS, "--drop-rest", *flags), *parts)
    assert sorted(tmp_path.iterdir()) == [file]


def test_what_was_assumed_and_left_out_is_reported(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("event_type;user_id;item_id;order_id\npurchase;u;tea;1\npurchase;u;mug;\nview;u;tea;\n")
    ran = run("load", "events", file, "--where", "event_type!=view")
    assert (ran.status, ran.out) == (0, f"{file}: 2 events stored, 0 duplicates, 0 rejected, 1 left out\n")
    assert f"{file}: cells are separated by ';'; --delimiter chooses another" in ran.err
    assert f"{file}: has no timestamp: its events are dated now" in ran.err
    assert f"{file}: 1 of 2 purchases have no order_id, and are in no basket" in ran.err


@pytest.mark.thorough
def test_a_gzipped_file_is_the_same_file(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "e.ndjson", VIEW, VIEW)
    (tmp_path / "e.ndjson.gz").write_bytes(gzip.compress(file.read_bytes()))
    assert "2 events stored" in run("load", "events", file).out
    ran = run("load", "events", tmp_path / "e.ndjson.gz")
    assert (ran.status, ran.out.endswith("0 events stored, 2 duplicates, 0 rejected\n")) == (0, True)


@pytest.mark.thorough
def test_standard_input_without_a_source_is_loaded_anew_each_time(run: Run) -> None:
    text = json.dumps(VIEW) + "\n" + json.dumps(VIEW | {"event_id": "one"}) + "\n"
    assert (
        run.with_input(text, "load", "events", "-").out == "standard input: 2 events stored, 0 duplicates, 0 rejected\n"
    )
    assert (
        run.with_input(text, "load", "events", "-").out == "standard input: 1 events stored, 1 duplicates, 0 rejected\n"
    )
    ran = run.with_input(
        CUSTOMERS, "load", "events", "-", "--format", "csv", "--source", "log", "--drop", "colour", *FLAGS
    )
    assert ran.out == "standard input: 2 events stored, 0 duplicates, 0 rejected\n"
    more = CUSTOMERS + "19,tea,2026-01-03,\n"
    ran = run.with_input(more, "load", "events", "-", "--format", "csv", "--source", "log", "--drop", "colour", *FLAGS)
    assert ran.out == "standard input: 1 events stored, 2 duplicates, 0 rejected\n"
    assert_error(
        run.with_input(CUSTOMERS, "load", "events", "-"), "the format of standard input is unknown", "--format"
    )


def test_items_come_from_csv_and_an_older_catalogue_replaces_a_newer_one(run: Run, tmp_path: Path) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("item_id,title,price,available,colour\ntea,Green tea,2.50,yes,green\n")
    new.write_text("item_id,title,price,available,colour\ntea,Black tea,2.50,no,\n")
    for file in (old, new, old):
        assert run("load", "items", file, "--keep-rest").out == f"{file}: 1 items stored, 0 duplicates, 0 rejected\n"
    text = """
        from alsobought.settings import from_environment
        from alsobought.storage.clickhouse import open_warehouse
        warehouse = open_warehouse(from_environment())
        print(warehouse.trusted_rows("select title, price, available, attributes from alsobought.items final").data)
        warehouse.close()
    """
    assert run.python(text) == "[['Green tea', 2.5, True, {'colour': 'green'}]]\n"


@pytest.mark.thorough
def test_a_full_feed_clears_missing_fields_and_takes_missing_items_off_sale(run: Run, tmp_path: Path) -> None:
    full = write(tmp_path / "1.ndjson", *({"item_id": item_id, "title": item_id, "price": 5} for item_id in "abcdef"))
    run("load", "items", full)
    night = write(tmp_path / "2.csv", "item_id,title,price\na,a,6\nb,,5\nc,c,5\nd,d,5\ne,e,5\n")
    assert run("load", "items", night, "--replace-all", "--dry-run").out.splitlines()[-2:] == [
        f"{night}: 5 items would be stored, 0 would be rejected",
        "1 of 6 items would be taken off sale",
    ]
    assert run("load", "items", night, "--replace-all").out.splitlines() == [
        f"{night}: 5 items stored, 0 duplicates, 0 rejected",
        "1 of 6 items taken off sale",
    ]
    rows = json.loads(run("pipe", "run", "all_items").out)
    assert sorted((row["item_id"], row["title"]) for row in rows) == [
        *(("a", "a"), ("b", "")),
        *zip("cde", "cde", strict=True),
    ]
    cut = write(tmp_path / "3.csv", "item_id\na\n")
    ran = run("load", "items", cut, "--replace-all")
    assert (ran.status, "4 of 5 items of the catalogue (80 %) are not in the feed" in ran.err) == (1, True)
    assert_error(run("load", "events", cut, "--replace-all"), "--replace-all is for items")


def test_negative_quantities_are_refunds_and_are_mentioned_once(run: Run, tmp_path: Path) -> None:
    file = write(
        tmp_path / "till.csv",
        "event_type,user_id,order_id,item_id,quantity,timestamp\n"
        "purchase,17,1,tea,3,2026-01-01\npurchase,17,C2,tea,-3,2026-01-02\npurchase,17,1,mug,1,2026-01-01\n",
    )
    ran = run("load", "events", file)
    assert ran.status == 0
    assert ran.err.count("1 purchases have a negative quantity: they are refunds of earlier ones") == 1
    assert events(run, "event_type, quantity, refunded") == [
        ["refunded_purchase", 3, 3],
        ["refund", 3, 0],
        ["purchase", 1, 0],
    ]
