-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0058_serving_positions
-- How far each serving table has come: all events up to `seq` are in its rows, which the definition with this hash made. After a
-- crash the rows that later events touch are made again; with another definition, or without a position, all of them.

CREATE TABLE serving_positions
(
    `name` String,
    `definition` String,
    `seq` UInt64,
    `recorded_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(recorded_at)
ORDER BY name
SETTINGS index_granularity = 8192
