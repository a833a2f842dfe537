-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0053_learning_runs
-- The runs of `alsobought learn`: the table learned under the name that the documentation uses. One row per run.
-- until is the seq of the newest event that a run read; rows, options and quality are JSON objects.

CREATE VIEW learning_runs
(
    `name` LowCardinality(String),
    `learned_at` DateTime64(3, 'UTC'),
    `events` UInt64,
    `until` UInt64,
    `seconds` Float64,
    `rows` String,
    `options` String,
    `quality` String,
    `line` String
)
AS SELECT
    name,
    learned_at,
    events,
    until,
    seconds,
    rows,
    options,
    quality,
    line
FROM learned
