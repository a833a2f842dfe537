-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- In how many orders two items stand together, both ways round, by the month of the later line of the two.
-- An order's items are ranked by first appearance; a pair counts once per order if the ranks are at most 100 apart.
-- weight is the sum over those orders of round(10^6 / sqrt(lines of the order)), lines unknown or below two counting as two.
-- Signed sums that merge in the background: read with sum(...) ... group by, and having baskets > 0.
create table if not exists shop.co_baskets_local on cluster 'shards' (
    item_key UInt64,
    other_item_key UInt64,
    month Date,
    baskets Int64,
    weight Int64
)
engine = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/co_baskets_local', '{replica}', (baskets, weight))
order by (item_key, other_item_key, month)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.co_baskets on cluster 'shards' as shop.co_baskets_local
engine = Distributed('shards', 'shop', 'co_baskets_local', rand())
;
