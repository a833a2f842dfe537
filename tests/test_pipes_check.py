"""Only one read-only SELECT over the project's own tables passes, however the rest is dressed up."""

from __future__ import annotations

import time

import pytest

from app.errors import PipeFault
from app.pipes.check import check, tables_of
from app.shop import Shop

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
def test_what_does_not_belong_in_a_pipe_is_refused(sql: str) -> None:
    with pytest.raises(PipeFault):
        check(sql, TABLES)


@pytest.mark.parametrize("sql", GOOD.values(), ids=GOOD)
def test_what_belongs_in_a_pipe_passes(sql: str) -> None:
    check(sql, TABLES)


def test_the_engine_runs_what_passes(shop: Shop) -> None:
    """Otherwise the list above would prove nothing."""
    given = {"a": "tea", "b": 5, "c": ["tea"]}
    for sql in GOOD.values():
        if "{" in sql:
            shop.warehouse.rows(sql, given)
        else:
            shop.warehouse.rows(sql + " -- {a:String}", given)  # the driver formats % where nothing is bound


@pytest.mark.parametrize(
    ("sql", "line", "says"),
    [
        (f"select\n    1,\n    {FILE}" + END, 3, "the function file is not allowed"),
        ("select\n    now()" + END, 2, "Use {{ now }}"),
        ("select\n    now" + END, 2, "Use {{ now }}"),
        ("select 1\n" + END + ";", 2, "';' cannot be read here. A pipe is one statement"),
        ("select 1,\n'{a:String}'" + END, 2, "stands inside quotes"),
        ("/* a\nb */ select\n\u200b1" + END, 3, "cannot be read here"),
        ("select 1\nfrom items\nwhere order by", 3, "cannot be read"),
    ],
)
def test_a_fault_is_told_with_its_line(sql: str, line: int, says: str) -> None:
    with pytest.raises(PipeFault) as raised:
        check(sql, TABLES)
    assert says in str(raised.value)
    assert raised.value.line == line


def test_a_missing_table_is_told_with_those_there_are() -> None:
    with pytest.raises(PipeFault, match=r"there is no table itms\. There are catalogue, events"):
        check("select 1 from itms" + END, TABLES)


def test_the_tables_of_a_text_are_known() -> None:
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
def test_a_deep_or_broken_text_is_refused_at_once(sql: str) -> None:
    started = time.perf_counter()
    with pytest.raises(PipeFault):
        check(sql, TABLES)
    assert time.perf_counter() - started < 3
