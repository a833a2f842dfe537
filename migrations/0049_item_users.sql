-- Who did what with an item, how often and when last, and in which order: user_items the other way round, to find people and
-- orders by item. order_id is that of a purchase in an order, else empty. Impressions say nothing and are not here.
-- Sums and extremes that merge in the background: read with sum/max ... group by.
create table {{ database }}.item_users (
    item_key UInt64,
    user_id String,
    event_type LowCardinality(String),
    order_id String,
    events SimpleAggregateFunction(sum, Int64),
    last_time SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
engine = {{ engine('AggregatingMergeTree') }}
order by (item_key, user_id, event_type, order_id)
settings {{ window }}
