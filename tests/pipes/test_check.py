"""The check passes one read-only SELECT over the project's own tables, and rejects everything else."""

from __future__ import annotations

import time

import pytest
import sqlglot
from sqlglot import exp

from alsobought.errors import PipeFault
from alsobought.pipes.check import check, tables_of
from alsobought.pipes.columns import hidden_columns
from alsobought.pipes.scopes import find_scopes
from alsobought.service.service import Service

TABLES = {"items", "events", "user_items", "item_hours", "catalogue"}
END = " order by 1 limit 10"
FILE = "file('/etc/passwd')"

HOSTILE = {
    "two statements": "select 1" + END + "; drop table events",
    "a semicolon at the end": "select 1" + END + ";",
    "an insert": "insert into items select 1",
    "an insert behind a with": "with 1 as a insert into items select a",
    "an alter": "alter table events delete where 1",
    "a drop": "drop table events",
    "a create": "create table a engine = Memory as select 1 limit 1",
    "a truncate": "truncate table events",
    "an attach": "attach table a",
    "a system command": "system shutdown",
    "a set": "set readonly = 0",
    "an explain": "explain select 1" + END,
    "a table": "table events",
    "show tables": "show tables",
    "values": "values (1)",
    "nothing": "",
    "only a comment": "-- nothing",
    "into outfile": "select 1" + END + " into outfile '/tmp/x'",
    "into outfile on two lines": "select 1" + END + " into\noutfile '/tmp/x' truncate",
    "into outfile inside": "select * from (select 1 into outfile '/tmp/x')" + END,
    "settings": "select 1" + END + " settings readonly = 0",
    "settings inside": "select * from (select 1 settings max_threads = 64)" + END,
    "settings in a with": "with a as (select 1 settings max_threads = 64) select * from a" + END,
    "settings of a union": "select 1 union all select 2" + END + " settings readonly = 0",
    "a format": "select 1" + END + " format Native",
    "a system table": "select * from system.tables" + END,
    "a system table with quotes": "select * from `system`.`tables`" + END,
    "a system table in one name": "select * from `system.tables`" + END,
    "a system table joined": "select 1 from items join system.tables as t on 1 = 1" + END,
    "a system table after a comma": "select 1 from items, system.one" + END,
    "a system table in a sub-query": "select (select count() from system.tables)" + END,
    "a system table in a sub-query of a sub-query": "select * from (select * from (select * from system.one))" + END,
    "a system table in where": "select 1 from items where item_id in (select name from system.tables)" + END,
    "a system table in exists": "select exists (select 1 from system.one)" + END,
    "a system table in any": "select 1 = any (select dummy from system.one)" + END,
    "a system table in a with": "with a as (select * from system.one) select * from a" + END,
    "a system table in having": "select 1 from items having (select 1 from system.one) = 1" + END,
    "a system table in order by": "select 1 order by (select 1 from system.one) limit 1",
    "a system table in a union": "select * from (select 1 union all select dummy from system.one)" + END,
    "a system table in a branch": "select if(1, (select dummy from system.one), 0)" + END,
    "in a system table": "select 0 in system.one" + END,
    "not in a system table": "select 0 not in system.one" + END,
    "global in a system table": "select 0 global in system.one" + END,
    "in a system table in brackets": "select 0 in (system.one)" + END,
    "in a system table in quotes": "select 0 in `system`.`one`" + END,
    "another database": "select * from other.events" + END,
    "our own database by name": "select * from alsobought.events" + END,
    "a table that is not there": "select * from nope" + END,
    "a file as a table": "select * from `/etc/passwd`" + END,
    "a file as a text": "select * from '/etc/passwd'" + END,
    "a read of a file": f"select {FILE}" + END,
    "a read of a file in capitals": "select FILE('/etc/passwd')" + END,
    "a read of a file with back quotes": "select `file`('/etc/passwd')" + END,
    "a read of a file with quotes": "select \"file\"('/etc/passwd')" + END,
    "a read of a file with escapes": "select `fi\\x6ce`('/etc/passwd')" + END,
    "a read of a file with a space": "select file ('/etc/passwd')" + END,
    "a read of a file with a line": "select file\n('/etc/passwd')" + END,
    "a read of a file with a comment": "select file/**/('/etc/passwd')" + END,
    "a read of a file with an invisible space": "select file\u200b('/etc/passwd')" + END,
    "a read of a file with a wide space": "select file\u3000('/etc/passwd')" + END,
    "a read of a file with a vertical tab": "select file\x0b('/etc/passwd')" + END,
    "a read of a file in where": f"select 1 from items where {FILE} = ''" + END,
    "a dictionary of another database behind ours": "select dictGet('catalogue' = 'x' ? 'y' : 'other.d', 'title', 1)"
    + END,
    "a dictionary by a name": "with 'other.secret' as xcataloguex select dictGet(xcataloguex, 'title', 1)" + END,
    "settings after a union inside": "select a from (select 1 as a union all select 2 settings max_threads = 1)" + END,
    "a read of a file in a lambda": f"select arrayMap(x -> {FILE}, [1])" + END,
    "a read of a file in a case": f"select case when 1 then {FILE} end" + END,
    "a read of a file in limit": f"select 1 order by 1 limit length({FILE})",
    "a read of a file in array join": f"select 1 from items array join [{FILE}] as a" + END,
    "a read of a file in a window": f"select sum(1) over (partition by {FILE})" + END,
    "a read of a file in replace": f"select * replace({FILE} as title) from items" + END,
    "a read of a file behind curly quotes": f"select \u2018 /* \u2019, {FILE} -- */\n" + END,
    "a read of a file behind a tag": f"select $a$ /* $a$, {FILE} -- */\n" + END,
    "a read of a file behind two comments": f"select 1 /* /* */, {FILE} -- */\n" + END,
    "a read of a file behind slashes": f"select 1 // '\n, {FILE} -- '\n" + END,
    "a read of a file behind a number sign": f"select 1 # '\n, {FILE} -- '\n" + END,
    "a read of a file behind a carriage return": f"select 1 -- \r '\n, {FILE} -- '\n" + END,
    "a read of a file behind a NUL": f"select 1\0, {FILE}" + END,
    "a read of a file as an applied function": "select * apply file from items" + END,
    "a read of a file as an applied function in brackets": "select * apply(file) from items" + END,
    "the table function file": "select * from file('/etc/passwd', 'LineAsString')" + END,
    "the table function url": "select * from url('http://localhost/', 'LineAsString')" + END,
    "the table function s3": "select * from s3('http://localhost/')" + END,
    "the table function remote": "select * from remote('127.0.0.1', system.one)" + END,
    "the table function mysql": "select * from mysql('h', 'd', 't', 'u', 'p')" + END,
    "the table function executable": "select * from executable('id', 'TSV', 'a String')" + END,
    "the table function merge": "select * from merge('system', '.*')" + END,
    "the table function numbers": "select * from numbers(10)" + END,
    "the table function values": "select * from values('a UInt8', 1)" + END,
    "the table function view": "select * from view(select 1)" + END,
    "the table function dictionary": "select * from dictionary('catalogue')" + END,
    "the table function of Python": "select * from Python(a)" + END,
    "a table function joined": "select 1 from items join url('http://localhost/') as u on 1 = 1" + END,
    "a dictionary elsewhere": "select dictGet('other.catalogue', 'title', 1)" + END,
    "a dictionary made up at run time": "select dictGet(concat('a', 'b'), 'title', 1)" + END,
    "a dictionary named by a parameter": "select dictGet({a:String}, 'title', 1)" + END,
    "a dictionary in a quoted function": "select `dictGetOrNull`('system.a', 'title', 1)" + END,
    "a join table elsewhere": "select joinGet('system.one', 'dummy', 1)" + END,
    "sleep": "select sleep(3)" + END,
    "sleep for each row": "select sleepEachRow(3) from events" + END,
    "the clock": "select now()" + END,
    "the clock without brackets": "select now" + END,
    "today": "select today()" + END,
    "the clock of standard SQL": "select current_timestamp" + END,
    "the user": "select currentUser()" + END,
    "the user without brackets": "select user" + END,
    "the database": "select currentDatabase()" + END,
    "the host": "select hostName()" + END,
    "the settings": "select getSetting('readonly')" + END,
    "the environment": "select getMacro('a')" + END,
    "chance": "select rand()" + END,
    "a model": "select catboostEvaluate('/tmp/m', 1)" + END,
    "a query made of text": "select eval('select 1')" + END,
    "a parameter in quotes": "select '{a:String}'" + END,
    "a parameter in a comment": "select 1 /* {a:String} */" + END,
    "a parameter behind dashes": "select 1 -- {a:String}\n" + END,
    "a map in braces": "select {'a': 1}" + END,
    "an open quote": "select 'a" + END,
    "an open comment": "select 1 /* a" + END,
    "an open bracket": "select (1" + END,
    "a bracket too many": "select 1) union all (select 1" + END,
    "a union that only limits its end": "select 1 as a union all select 2 as a order by a limit 1",
    "no limit": "select 1 order by 1",
    "no order": "select 1 limit 1",
    "an order that leaves equal rows in any order": "select item_id, title from items order by title limit 10",
    "an order by half of a group": "select brand, title, count() as n from items group by brand, title order by n, brand"
    " limit 10",
    "an order by a key that comes first": "select item_id, title from items order by item_id, price limit 10",
    "an order by less than an array join makes": "select item_id, a from items array join [1] as a order by a limit 9",
    "an order by less than arrayJoin makes": "select brand, arrayJoin([1, 2]) as a from items group by brand order by brand"
    " limit 9",
    "an order by one of two that no table has": "select arrayJoin([1, 1]) as a, 2 as b order by b limit 9",
    "an order by a number beyond the columns": "select item_id from items order by 99999999999999999999 limit 10",
    "a value of a with in place of a table": "with (select 1) as a select 1 from a order by 1 limit 1",
    "a limit for each only": "select item_id from items order by 1 limit 10 by item_id",
    "a limit inside only": "select * from (select 1 order by 1 limit 1)",
}

GOOD = {
    "a select": "select item_id from items order by item_id limit 10",
    "a comment": "-- why; 'this'\nselect item_id /* it's; */ from items order by item_id -- end\nlimit 10",
    "quotes in a text": "select 'it''s', 'it\\'s', '-- no', '/* no */', ';', 'file(1)' as a order by a limit 10",
    "other scripts in a text": "select 'Grüße \u2018☕\u2019' as a -- \u2018☕\u2019\norder by a limit 10",
    "names in quotes": 'select item_id as `an id`, title as "a title" from items order by `an id` limit 10',
    "a with": "with a as (select item_id from items) select item_id from a order by item_id limit 10",
    "a union inside": "select a from (select 1 as a union all select 2 as a) order by a limit 10",
    "a join": "select i.item_id from items as i left join user_items as u using (item_id) order by i.item_id limit 10",
    "a sub-query": "select item_id from items where item_id in (select item_id from events) order by item_id limit 10",
    "in a with": "with a as (select 'tea') select item_id from items where item_id in a order by item_id limit 10",
    "in a list": "select item_id from items where item_id in ('tea', 'mug') order by item_id limit 10",
    "a window": "select item_id, row_number() over (partition by brand order by price) as nth from items"
    " order by item_id limit 10",
    "a lambda": "select arrayMap(x -> x + 1, [1, 2]) as a order by a limit 10",
    "a dictionary": "select dictGet('catalogue', 'title', 1) as a order by a limit 10",
    "a cast": "select '5'::UInt8 as a, cast('5' as Decimal(9, 2)) as b order by a limit 10",
    "a case": "select case when 1 > 0 then 'a' else 'b' end as a order by a limit 10",
    "an interval": "select toDateTime('2026-01-01 00:00:00') - interval 1 day as a order by a limit 10",
    "a quantile": "select quantile(0.5)(price) as a from items order by a limit 10",
    "an order by all": "select title, brand from items order by all limit 10",
    "an order by a group": "select brand, count() as n from items group by brand order by n desc, brand limit 10",
    "an order by a group of a with": "with a as (select title as t, brand as b, count() as n, max(price) as p from items"
    " group by title, brand) select b, t, n, p from a where n > 1 order by n desc, t, b limit 10",
    "an order by a group that is calculated": "select lower(title) as a, count() as n, max(price) as p from items"
    " group by lower(title) order by n, a limit 10",
    "an order by a row number": "select title, price, row_number() over (order by item_id) as n from items order by n limit 9",
    "an order by what is distinct": "select distinct title, brand from items order by brand, title limit 10",
    "an order of one row": "select max(price) as p, count() as n from items order by n limit 10",
    "an order by the first of each": "select title, b from (select title, brand as b, price from items order by item_id"
    " limit 1 by b) order by b limit 10",
    "an order by a tuple": "select title, item_id from items order by (title, item_id) limit 10",
    "a key by another name": "select title, item_id as found from items order by title, found limit 10",
    "a key by its place": "select title, item_id from items order by 1, 2 limit 10",
    "limit by": "select item_id from (select item_id from items limit 1 by brand) order by item_id limit 10",
    "a parameter": "select item_id from items where item_id = {a:String} order by item_id limit {b:UInt16}",
    "an array of parameters": "select arrayJoin({c:Array(String)}) as a order by a limit 10",
    "a column named like the clock": "select e.now from (select 1 as `now`) as e order by 1 limit 10",
    "an array join": "select item_id, a from items array join [1, 2] as a order by item_id, a limit 10",
    "prewhere and final": "select item_id from items final prewhere brand = 'a' order by item_id limit 10",
    "a remainder": "select 10 % 3 as a, 1e3 as b, .5 as c, 'a' || 'b' as d order by a limit 10",
    "a choice": "select 1 ? 2 : 3 as a, [1, 2][1] as b, (1, 'a').1 as c order by b limit 10",
}


@pytest.mark.parametrize("sql", HOSTILE.values(), ids=HOSTILE)
def test_a_text_that_is_not_a_pipe_is_rejected(sql: str) -> None:
    with pytest.raises(PipeFault):
        check(sql, TABLES)


@pytest.mark.parametrize("sql", GOOD.values(), ids=GOOD)
def test_a_valid_text_passes(sql: str) -> None:
    check(sql, TABLES)


def test_the_engine_runs_the_valid_texts(shop: Service) -> None:
    """Otherwise the list would prove nothing."""
    values = {"a": "tea", "b": 5, "c": ["tea"]}
    for sql in GOOD.values():
        if "{" in sql:
            shop.warehouse.rows(sql, values)
        else:
            shop.warehouse.rows(sql + " -- {a:String}", values)  # the driver formats % where nothing is bound


@pytest.mark.parametrize(
    ("sql", "line", "expected"),
    [
        (f"select\n    1,\n    {FILE}" + END, 3, "the function file is not allowed"),
        ("select\n    now()" + END, 2, "Use {{ now }}"),
        ("select\n    now" + END, 2, "Use {{ now }}"),
        ("select 1\n" + END + ";", 2, "';' is not allowed here. A pipe is one statement"),
        ("select 1,\n'{a:String}'" + END, 2, "is inside quotes"),
        ("/* a\nb */ select\n\u200b1" + END, 3, "is not allowed here"),
        ("select 1\nfrom items\nwhere order by", 3, "cannot be parsed: something is missing in WHERE"),
        ("select 1\nfrom\n  itmes" + END, 3, "there is no table itmes. Did you mean items?"),
        ("select 1\nfrom items\norder by\n title limit 1", 4, "does not break ties"),
        ("select\n cuont()" + END, 2, "the function cuont is not allowed in a pipe. Did you mean count?"),
        ("select 1 from items /* a\nb */\n", 2, "the last SELECT has no LIMIT"),
        ("select 1" + END + "\nsettings max_threads = 1", 2, "SETTINGS is not allowed in a pipe"),
        ("drop\ntable events", 1, "a pipe is a SELECT, not DROP"),
    ],
)
def test_a_fault_has_its_line(sql: str, line: int, expected: str) -> None:
    with pytest.raises(PipeFault) as raised:
        check(sql, TABLES)
    assert expected in str(raised.value)
    assert raised.value.line == line


def test_an_unknown_table_is_reported_with_the_existing_ones() -> None:
    with pytest.raises(PipeFault, match=r"there is no table secrets\. There are catalogue, events"):
        check("select 1 from secrets" + END, TABLES)


def test_all_faults_of_a_text_are_reported_at_once() -> None:
    with pytest.raises(PipeFault) as raised:
        check("select\n file('a'),\n nwo() from secrets,\n itmes order by 1", TABLES)
    assert [(fault.line, fault.message) for fault in raised.value.all] == [
        (2, "the function file is not allowed in a pipe"),
        (3, "the function nwo is not allowed in a pipe"),
        (3, "there is no table secrets"),
        (4, "there is no table itmes"),
        (4, "the last SELECT has no LIMIT"),
        (4, "the last ORDER BY does not break ties"),
    ]


SCHEMA = {
    "items": dict.fromkeys(("item_id", "title", "brand", "price"), "String"),
    "user_items": dict.fromkeys(("user_id", "item_id", "events"), "String"),
    "item_hours": dict.fromkeys(("hour", "item_key", "events"), "String"),
}
HIDING = {
    "in where": ("select sum(events) as events from user_items where events > 0", "user_items", "WHERE"),
    "in prewhere": ("select lower(title) as title from items prewhere title = 'a'", "items", "PREWHERE"),
    "in group by": ("select toDate(hour) as hour, count() from item_hours group by hour", "item_hours", "GROUP BY"),
    "in a join": ("select a.price + 1 as brand from items as a join user_items as b on brand = b.user_id", "a", "JOIN"),
    "in a with": ("with toDate(1) as hour select count() from item_hours where hour > 5", "item_hours", "WHERE"),
    "in a sub-query": (
        "select 1 from (select sum(events) as events from user_items where events > 0)",
        "user_items",
        "W",
    ),
    "of a with": (
        "with a as (select item_id, title as t from items) select lower(t) as t from a where t = 'b'",
        "a",
        "WHERE",
    ),
    "of another column": ("select title as brand from items where brand = 'a'", "items", "WHERE"),
    "of a star": ("select lower(title) as title from (select * from items) as a where title = ''", "a", "WHERE"),
}
POSSIBLY_HIDING = {
    "in having": "select user_id, sum(events) as events from user_items group by user_id having events > 0",
    "in another expression": "select sum(events) as events, events / 2 as half from user_items",
}
HARMLESS = {
    "itself": "select item_id as item_id from items where item_id = 'a'",
    "itself with its table": "select i.item_id as item_id from items as i where item_id = 'a' group by item_id",
    "only in its own expression": "select sum(events) as events from user_items where user_items.events > 0",
    "only in order by": "select round(price) as price from items order by price",
    "another name": "select sum(events) as happened from user_items where events > 0 group by item_id",
    "of another select": "select 1 from (select lower(title) as title from items) as a where title = ''",
    "an argument": "select lower(title) as title from items where arrayExists(title -> title = 'a', [brand])",
    "one more select inside": "select lower(title) as title from items where item_id in (select title from items)",
}


@pytest.mark.parametrize(("sql", "table", "clause"), HIDING.values(), ids=HIDING)
def test_an_alias_that_hides_a_column_is_a_fault(sql: str, table: str, clause: str) -> None:
    (finding,) = hidden_columns(find_scopes(check_only(sql), SCHEMA))
    assert finding.is_fault
    assert f"hides a column of {table}, and {clause}" in finding.message


@pytest.mark.parametrize("sql", POSSIBLY_HIDING.values(), ids=POSSIBLY_HIDING)
def test_an_alias_that_may_be_intended_is_a_warning(sql: str) -> None:
    assert [finding.is_fault for finding in hidden_columns(find_scopes(check_only(sql), SCHEMA))] == [False]


@pytest.mark.parametrize("sql", HARMLESS.values(), ids=HARMLESS)
def test_an_alias_that_hides_nothing_passes(sql: str) -> None:
    assert list(hidden_columns(find_scopes(check_only(sql), SCHEMA))) == []


def check_only(sql: str) -> exp.Expr:
    """The tree of a text that may not be a complete pipe."""
    return sqlglot.parse_one(sql, dialect="clickhouse")


def test_the_engine_prefers_an_alias_to_a_column(shop: Service) -> None:
    """Otherwise the rule would be needless."""
    sql = "select {} as a from (select 1 as a, 2 as b) where a = 2"
    assert shop.warehouse.rows(sql.format("b")).data == [[2]]
    assert shop.warehouse.rows(
        "select toStartOfYear(d) as d, count() as n from (select arrayJoin([toDate('2024-01-01'),"
        " toDate('2024-02-01')]) as d) group by d"
    ).data == [["2024-01-01", 2]]


def test_the_tables_of_a_text_exclude_its_sub_queries() -> None:
    sql = (
        "with a as (select * from events) select * from a join items using (item_id) where 1 in (select 1 from a)" + END
    )
    assert tables_of(check(sql, TABLES)) == ["events", "items"]


NESTED = {
    "brackets": "select " + "(" * 5000 + "1" + ")" * 5000 + END,
    "functions": "select " + "abs(" * 5000 + "1" + ")" * 5000 + END,
    "lists": "select " + "[" * 5000 + "1" + "]" * 5000 + END,
    "sub-queries": "select * from " + "(select * from " * 2000 + "items" + ")" * 2000 + END,
    "cases": "select " + "case when 1 then " * 2000 + "1" + " end" * 2000 + END,
    "nots": "select " + "not " * 20_000 + "1" + END,
    "types": "select 1::" + "Array(" * 5000 + "UInt8" + ")" * 5000 + END,
    "open comments": "select " + "/*" * 50_000 + END,
    "open quotes": "select " + "'" * 100_001 + END,
    "backslashes": "select '" + "\\" * 100_001 + END,
    "braces": "select " + "{a:" * 30_000 + END,
    "dashes": "select 1 " + "-" * 100_000,
}


@pytest.mark.parametrize("sql", NESTED.values(), ids=NESTED)
def test_a_deep_or_broken_text_is_rejected_quickly(sql: str) -> None:
    started = time.perf_counter()
    with pytest.raises(PipeFault):
        check(sql, TABLES)
    assert time.perf_counter() - started < 3
