-- Which items an order holds and the seq of each one's first purchase line: the history that co_baskets_mv continues.
-- Read it with min(first_seq) ... group by order_key, item_key.
create table {{ database }}.order_items (
    order_key UInt64,
    item_key UInt64,
    first_seq SimpleAggregateFunction(min, UInt64)
)
engine = {{ engine('AggregatingMergeTree') }}
order by (order_key, item_key)
settings {{ window }}
