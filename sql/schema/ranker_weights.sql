-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0048_ranker_weights
-- What a ranker has learnt: by how much each trait of a pair of items raises or lowers its rank, a row for each bucket of each
-- feature. A pair's features fall into one bucket each, above `above` and up to `up_to`, and the weights of these are added up.
-- place is the number of the feature in sql/macros/ranker.sql. pairs, asked and bought are what the weight was learnt of.
-- `alsobought learn ranker` makes the whole table anew; no view fills it.
--
-- 0123_ranker_weights_version
-- Which version of the weights is in service: the time it was learned, in milliseconds since 1970; 0 for weights that are older than
-- this column. ranker_versions keeps the versions, so that `alsobought learn ranker --roll-back` returns to the one before.

CREATE TABLE ranker_weights
(
    `model` LowCardinality(String),
    `feature` LowCardinality(String),
    `place` UInt8,
    `bucket` UInt16,
    `above` Float64,
    `up_to` Float64,
    `weight` Float64,
    `pairs` UInt64,
    `asked` Float64,
    `bought` Float64,
    `version` UInt64
)
ENGINE = MergeTree
ORDER BY (model, place, bucket)
SETTINGS index_granularity = 8192
