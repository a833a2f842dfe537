-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0121_placements
-- Where lists were shown and what made them: surface (empty: the pipe was asked itself), pipe, version of its text, experiment and variant
-- (empty: none). The service writes a row when it first answers for it; the key is a hash of the rest, so rows may repeat.

CREATE TABLE placements
(
    `placement` UInt64,
    `surface` String,
    `pipe` String,
    `version` String,
    `experiment` String,
    `variant` String,
    `since` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY placement
SETTINGS index_granularity = 8192
