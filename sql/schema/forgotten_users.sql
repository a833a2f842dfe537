-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0036_forgotten_users
-- Who was forgotten, by a key that does not tell the name, and when: what still comes of them from before counts for nothing.

CREATE TABLE forgotten_users
(
    `user_key` UInt64,
    `forgotten_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(forgotten_at)
ORDER BY user_key
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
