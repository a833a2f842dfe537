"""What all steps of a rewrite share: the request, its events before and after, repeatable inserts and deletes."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime

import msgspec

from alsobought.storage import mutation_journal
from alsobought.storage.count_tables import CountTable
from alsobought.storage.engine_settings import one_block
from alsobought.storage.mutation_journal import Rewrite
from alsobought.storage.scratch_database import Scratch, drop_scratch
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.refunds import RefundedLine
from alsobought.writer.staging import staged_table

BEFORE, AFTER = "before", "after"  # the scratch databases


class UserRewrite(msgspec.Struct, frozen=True):
    """The request: `users` are erased or, with `into`, become that user; `at` is its time.

    With `guests`, a merge is undone: of the events of `users`, an account, only those that came under the ids of `guests` become
    those of `into`, one of the guests, which went through the accounts `holders` before they were merged.
    `merged_into` is the account that a merge named, which may be a guest of `into`.
    With `lines`, nobody is erased: these events of the users are changed by refunds.
    With `move`, its number, the users move to another warehouse: there it `adopts` them with the rows that are staged, here their
    events before that number leave.
    `horizon` is the seq before which events may have expired, 0 if none ever did.
    """

    users: list[str]
    into: str
    at: datetime
    horizon: int = 0
    lines: list[RefundedLine] = []
    guests: list[str] = []
    merged_into: str = ""
    holders: list[str] = []
    move: int = 0
    adopts: bool = False

    @property
    def kind(self) -> str:
        """Of the entry in the journal."""
        if self.lines:
            return "refund"
        if self.move:
            return "adopt" if self.adopts else "leave"
        return "unmerge" if self.guests else "merge" if self.into else "forget"

    @property
    def all_users(self) -> list[str]:
        """The users, and the account if there is one."""
        return [*self.users, *([self.into] if self.into else [])]


class RewriteContext:
    """`before` has the events of the users and of the account, `after` has them as they will be; `copy_events` creates both.

    `done` are the tables whose insert preceded a crash: nothing else has been inserted since.
    """

    before: Scratch
    after: Scratch

    def __init__(
        self,
        warehouse: Warehouse,
        rewrite: Rewrite,
        request: UserRewrite,
        tables: Sequence[CountTable],
        done: Set[str],
    ) -> None:
        self.warehouse, self.request, self.database = warehouse, request, warehouse.database
        self.tables, self.done = tables, done
        self.all_users = quoted_list(request.all_users)
        read = {name for table in tables for name in table.reads}
        self.histories = [table for table in tables if table.name in read]
        self._rewrite = rewrite

    def copy_events(self) -> None:
        """Copies the events into the two scratch databases."""
        self.before, self.after = Scratch(self.warehouse, BEFORE), Scratch(self.warehouse, AFTER)
        not_expired = f"seq >= {self.request.horizon:d}"
        self.before.create_events(
            f"select * from {self.database}.events where user_id in ({self.all_users}) and {not_expired}"
        )
        self.after.create_events(self._events_after(f"{self.before.name}.events"))
        self.before.create_histories(self.histories, self.request.horizon)
        self.after.create_histories(self.histories, self.request.horizon)
        if self.request.adopts and self.request.horizon:
            self._add_staged_histories()

    def _add_staged_histories(self) -> None:
        """What the other warehouse knows of the users, orders and sessions from before the horizon."""
        for table in self.histories:
            if "first_seq" in table.values:
                earlier = (
                    f"select {table.columns} from {self.staged(table.name)} where first_seq < {self.request.horizon:d}"
                )
                self.warehouse.command(f"insert into {self.after.name}.{table.name} ({table.columns}) {earlier}")

    def staged(self, table: str) -> str:
        """The table with the rows that come from the other warehouse."""
        return staged_table(self.warehouse, table)

    @property
    def refunded(self) -> dict[str, str]:
        """{column of events: its value after the refunds, as SQL}"""
        lines = self.request.lines
        seqs = f"[{', '.join(str(line.seq) for line in lines)}]"
        types = quoted_list([line.event_type for line in lines])
        pieces = ", ".join(str(line.refunded) for line in lines)
        return {
            "event_type": f"transform(seq, {seqs}, [{types}], toString(event_type))::LowCardinality(String)",
            "refunded": f"toUInt32(transform(seq, {seqs}, [{pieces}], toUInt64(refunded)))",
        }

    @property
    def identity(self) -> int:
        """A number above every seq and every version before."""
        return self._rewrite.id

    def heartbeat(self) -> None:
        """Keeps other writers of a server waiting."""
        if self.warehouse.shared:
            self._rewrite = mutation_journal.heartbeat(self.warehouse, self._rewrite)

    def finish(self) -> None:
        mutation_journal.finish(self.warehouse, self._rewrite)
        drop_scratch(self.warehouse, BEFORE, AFTER)

    def users_condition(self, column: str) -> str:
        """The condition that a row belongs to the users."""
        return f"{column} in ({quoted_list(self.request.users)})"

    @property
    def events_condition(self) -> str:
        """The condition on the events that are deleted, leave or become another user's."""
        if self.request.move:
            return f"{self.users_condition('user_id')} and seq < {self.request.move:d}"
        of_guests = f" and guest_id in ({quoted_list(self.request.guests)})" if self.request.guests else ""
        return self.users_condition("user_id") + of_guests

    def renamed_rows(self, table: str) -> str:
        """The users' rows of a table as the account's. In two steps: the new name would win over the column in a condition."""
        rows = f"select * from {self.database}.{table} where {self.users_condition('user_id')}"
        return f"select * replace ({quoted(self.request.into)} as user_id) from ({rows})"

    def renamed_events(self) -> str:
        """The events that become another user's, as such."""
        return self._events_after(f"(select * from {self.database}.events where {self.events_condition})")

    def _events_after(self, events: str) -> str:
        """These events as they will be. One that becomes another user's keeps the id under which it came, if that differs."""
        if self.request.lines:
            return f"select * replace ({', '.join(f'{sql} as {column}' for column, sql in self.refunded.items())}) from {events}"
        if self.request.adopts:
            return f"({events_of_both(events, self.staged('events'), self.request.horizon)})"
        if self.request.move:
            return f"select * from {events} where seq >= {self.request.move:d}"
        into = quoted(self.request.into)
        moves, came_as = f"({self.events_condition}) as moves", "if(guest_id = '', user_id, guest_id) as came_as"
        user, guest = f"if(moves, {into}, user_id)", f"if(moves, if(came_as = {into}, '', came_as), guest_id)"
        renamed = f"select * except (moves, came_as) replace ({user} as user_id, {guest} as guest_id)"
        return f"{renamed} from (select *, {moves}, {came_as} from {events})" + (
            "" if self.request.into else " limit 0"
        )

    def insert(self, table: str, select: str, columns: str = "") -> None:
        """One block, never dropped as a duplicate. The table is named with its database."""
        self.warehouse.command(f"insert into {table} {columns} {select} {one_block()}")

    def insert_once(self, table: CountTable, select: str) -> None:
        """Inserts, unless that preceded a crash."""
        if table.name not in self.done:
            self.insert(f"{self.database}.{table.name}", select, f"({table.columns})")

    def delete(self, table: str, condition: str) -> None:
        """Deletes, if there is anything to delete: a delete goes through all parts of a table.

        Rows of an erased user are gone from the disk, others only from every answer until parts merge, which is quicker.
        """
        if self.has_rows(table, condition):
            if self.request.kind == "forget":
                sql = f"alter table {self.database}.{table} delete where {condition} settings mutations_sync = 1"
            else:
                sql = f"delete from {self.database}.{table} where {condition} settings lightweight_deletes_sync = 1"
            self.warehouse.command(sql)

    def counts(self, table: str) -> int:
        """The number of rows of a table, which is named with its database."""
        return int(self.warehouse.trusted_rows(f"select count() from {table}").data[0][0])

    def has_rows(self, table: str, condition: str) -> bool:
        sql = f"select 1 from {self.database}.{table} where {condition} limit 1"
        return bool(self.warehouse.trusted_rows(sql).data)


def events_of_both(ours: str, staged: str, horizon: int) -> str:
    """A SELECT of our events and of those staged that have not expired."""
    return f"select * from {ours} union all select * from {staged} where seq >= {horizon:d}"


def quoted_list(texts: Sequence[str]) -> str:
    return ", ".join(map(quoted, texts))
