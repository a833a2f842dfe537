-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0014_user_categories
-- How often each user did what in each category: the taste of a user.
-- Signed sums that merge in the background: read with sum(events) ... group by.

CREATE TABLE user_categories
(
    `user_id` String,
    `category` String,
    `event_type` LowCardinality(String),
    `events` Int64
)
ENGINE = SummingMergeTree((events))
ORDER BY (user_id, category, event_type)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
