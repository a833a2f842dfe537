-- A feed, of the voices in a block of events: the first event of each type that a user has with an item on a day. Popularity counts
-- voices, so that a robot or one enthusiast is heard once a day. Impressions and what was refunded have no voice.
create table {{ database }}.voices (
    happened_at String,
    hour DateTime('UTC'),
    event_type LowCardinality(String),
    item_key UInt64
)
engine = Null
