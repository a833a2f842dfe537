-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What a ranker has learnt: by how much each trait of a pair of items raises or lowers its rank, a row for each bucket of each
-- feature. A pair's features fall into one bucket each, above `above` and up to `up_to`, and the weights of these are added up.
-- place is the number of the feature in sql/macros/ranker.sql. pairs, asked and bought are what the weight was learnt of.
-- `alsobought learn ranker` makes the whole table anew; no view fills it.
create table if not exists shop.ranker_weights_local on cluster 'shards' (
    model LowCardinality(String),
    feature LowCardinality(String),
    place UInt8,
    bucket UInt16,
    above Float64,
    up_to Float64,
    weight Float64,
    pairs UInt64,
    asked Float64,
    bought Float64
)
engine = ReplicatedMergeTree('/clickhouse/tables/{shard}/shop/ranker_weights_local', '{replica}')
order by (model, place, bucket)
;

create table if not exists shop.ranker_weights on cluster 'shards' as shop.ranker_weights_local
engine = Distributed('shards', 'shop', 'ranker_weights_local', rand())
;
