-- The files that were loaded, one row each once merged: how their rows were read, since which batch, and whether the end was reached. A file that was read to its end is not read again.
-- A newer version replaces the row: another reading of the same file (other columns, more event types) begins at its first row.
create table {{ database }}.loads (
    source String,
    reading String,
    since UInt64,
    refused UInt64,
    finished Bool,
    version UInt64
)
engine = {{ engine('ReplacingMergeTree', 'version') }}
order by source
