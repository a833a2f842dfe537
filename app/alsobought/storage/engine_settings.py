"""The ClickHouse settings of writes and of limited reads. A replay relies on them, so each one is pinned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alsobought.storage.sql_text import settings_clause

# Defaults moved between versions. One batch is one block, hence the sizes.
WRITE_SETTINGS: dict[str, Any] = {
    "async_insert": 0,
    "max_insert_threads": 1,
    "parallel_view_processing": 1,  # a quarter faster; correct because views order events by seq, not by arrival
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "materialized_views_ignore_errors": 0,
    "optimize_on_insert": 0,  # parts are summed when they merge; summing each batch took a third of the time
    "max_insert_block_size": 100_000_000,
    "min_insert_block_size_rows": 100_000_000,
    "min_insert_block_size_bytes": 10_000_000_000,
    "input_format_parallel_parsing": 0,
    "date_time_input_format": "best_effort",
}
READ_SETTINGS = {
    "output_format_json_quote_64bit_integers": 0,
    "date_time_output_format": "iso",
    "print_pretty_type_names": 0,  # a type is one line
    # Compiled at its third use, an expression takes 0.1 to 0.3 s of CPU once, and then saves nothing on so few rows.
    "compile_expressions": 0,
    "compile_aggregate_expressions": 0,
    "compile_sort_description": 0,
    # Each of these hashes whole trees of a query while it is analysed: together a fifth of the analysis of a pipe with five
    # levels. They simplify conditions and keys of which pipes have none to simplify; filters are still pushed to the tables.
    "optimize_and_compare_chain": 0,
    "optimize_extract_common_expressions": 0,
    "optimize_aggregators_of_group_by_keys": 0,
    "optimize_redundant_functions_in_order_by": 0,
    "optimize_limit_by_function_keys": 0,
    "optimize_group_by_function_keys": 0,
    "query_plan_remove_unused_columns": 0,
}
# Of reads over all shards. The last three are for statements that write: none of ours does so through a Distributed table, and if
# one did, it would store its rows once, and return after that.
DISTRIBUTED_SETTINGS: dict[str, Any] = {
    "distributed_product_mode": "global",
    "prefer_global_in_and_join": 1,
    "optimize_skip_unused_shards": 1,
    "load_balancing": "in_order",  # the replica that the writer of the shard prefers has the newest rows
    "prefer_localhost_replica": 0,
    "skip_unavailable_shards": 0,  # an answer without a shard would be wrong
    "distributed_foreground_insert": 1,
    "parallel_distributed_insert_select": 0,
    "insert_distributed_one_random_shard": 0,
}


@dataclass(frozen=True)
class Limits:
    """The most that one read may cost: seconds, bytes of memory, rows; and rows and bytes of its answer."""

    seconds: float = 5.0
    memory: int = 2_000_000_000
    rows: int = 100_000_000
    answer_rows: int = 100_000
    answer_bytes: int = 20_000_000

    def settings(self) -> dict[str, Any]:
        return {
            "max_execution_time": self.seconds,
            "max_memory_usage": self.memory,
            "max_rows_to_read": self.rows,
            "max_result_rows": self.answer_rows,
            "limit": self.answer_rows + 1,  # else rows that arrayJoin makes of constants pass both limits of the result
            "max_result_bytes": self.answer_bytes,
            "result_overflow_mode": "throw",
            "max_threads": 1,
            "timeout_overflow_mode": "throw",
            "allow_introspection_functions": 0,
            "readonly": 1,  # last: nothing can be set after it
        }


def write_settings(token: str) -> dict[str, Any]:
    """The settings of an insert; ClickHouse drops a second insert with the same deduplication token."""
    return WRITE_SETTINGS | ({"insert_deduplication_token": token} if token else {})


def one_block() -> str:
    """The SETTINGS clause of an INSERT … SELECT whose rows become one part, never dropped as a duplicate."""
    return settings_clause(WRITE_SETTINGS | {"insert_deduplicate": 0})
