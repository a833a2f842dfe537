-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0045_item_embeddings
-- What `alsobought learn embeddings` made of baskets, titles or the shop's vectors (model): a vector of length 1 for each item, all of one
-- length. The learner makes the whole table anew and then gives it an index to search by, since that must know how long vectors are.
-- version, the same in every row, is the newest of the items whose own vectors it knows, else 0. No view fills this table.

CREATE TABLE item_embeddings
(
    `item_key` UInt64,
    `embedding` Array(Float32),
    `model` LowCardinality(String),
    `version` UInt64
)
ENGINE = MergeTree
ORDER BY item_key
SETTINGS index_granularity = 128
