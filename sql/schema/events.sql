-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0004_events
-- What happened, one row each, and the write-ahead log of every view below: batch and epoch say which insert brought a row.
-- seq orders the events of one user across all sources; nothing is ever ordered by time or offset.
-- by_event_id finds the few rows that repeat an event_id; category is stamped on the way in, from the event or else from the catalogue, so that every count is a function of this table.
--
-- 0079_events_refunded
-- How many pieces of a purchase were refunded. What is left counts; a purchase that was refunded whole has the type refunded_purchase,
-- so that every count stays a function of this table. An event of type refund is the request: it says what is taken back, and no view
-- counts it but that of ingest_batches.
--
-- 0099_events_guest_id
-- Under which id an event came, where a merge made it another user's: to undo the merge, its events must be told from the account's own.
--
-- 0117_events_recommendation
-- The recommendation that led to an event: the id that its answer had, and the item's place in the list, from 1. The writer verifies
-- the id and stamps what it says: placement is the key of a row of placements, 0 if the id is forged or has expired; recommended_at,
-- the time of the answer, is 1970 if it is forged. So attribution, too, is a function of this table.

CREATE TABLE events
(
    `event_id` String,
    `event_type` LowCardinality(String),
    `user_id` String,
    `session_id` String,
    `guest_id` String,
    `item_id` String,
    `category` String DEFAULT dictGetOrDefault('catalogue', 'category', cityHash64(item_id), ''),
    `order_id` String,
    `order_size` UInt32,
    `quantity` UInt32,
    `refunded` UInt32,
    `price` Decimal(18, 4),
    `timestamp` DateTime64(3, 'UTC'),
    `properties` String,
    `recommendation_id` String,
    `position` UInt16,
    `placement` UInt64,
    `recommended_at` DateTime64(3, 'UTC'),
    `source` LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    `batch` UInt64,
    `epoch` UInt64,
    `ingested_at` DateTime64(3, 'UTC'),
    `seq` UInt64,
    INDEX by_event_id event_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_ingested_at ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (user_id, seq)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
