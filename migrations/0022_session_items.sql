-- Which items a session viewed and the seq of each one's first view: the history that co_views_mv continues.
-- Read it with min(first_seq) ... group by session_key, item_key.
create table {{ database }}.session_items (
    session_key UInt64,
    item_key UInt64,
    first_seq SimpleAggregateFunction(min, UInt64)
)
engine = {{ engine('AggregatingMergeTree') }}
order by (session_key, item_key)
settings {{ window }}
