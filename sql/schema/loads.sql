-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0031_loads
-- The files that were loaded, one row each once merged: how their rows were read, since which batch, and whether the end was reached. A file that was read to its end is not read again.
-- A newer version replaces the row: another reading of the same file (other columns, more event types) begins at its first row.

CREATE TABLE loads
(
    `source` String,
    `reading` String,
    `since` UInt64,
    `refused` UInt64,
    `finished` Bool,
    `version` UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY source
SETTINGS index_granularity = 8192
