-- How many events and calls of known bots were dropped, per hour and bot: as the list in sql/bots.csv calls it, no user agent. What was
-- sent over HTTP and read from Kafka; the last second is missing after a crash. It merges in the background: read it with sum(events).
create table {{ database }}.dropped_events (
    hour DateTime('UTC'),
    bot LowCardinality(String),
    events SimpleAggregateFunction(sum, UInt64),
    last_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
engine = {{ engine('AggregatingMergeTree') }}
order by (hour, bot)
ttl hour + interval 90 day
settings {{ window }}
