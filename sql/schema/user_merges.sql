-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0037_user_merges
-- Whose events are whose: what a guest does after the merge is the account's. An account that is merged takes its guests along.
--
-- 0100_user_merges_since
-- The account that the merge named, which may itself be merged by now (user_id), and when that was; 1970 for merges from before events had
-- a guest_id, which cannot be undone.

CREATE TABLE user_merges
(
    `guest_id` String,
    `user_id` String,
    `merged_at` DateTime64(3, 'UTC'),
    `merged_into` String DEFAULT user_id,
    `since` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(merged_at)
ORDER BY guest_id
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
