-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0113_users
-- What a shop knows of its users: one row per user, the newest version wins. Each attribute is a list of words, of which most have
-- one; a number is the word that it is written as. `lists` names the attributes that were sent as lists. `given` names those that
-- the account took over when this user, a guest, was merged into it. Rows that are `removed` are those of merged guests, kept for an
-- unmerge, and empty ones. Read it with FINAL, or with the macros of sql/macros/users.sql.

CREATE TABLE users
(
    `user_id` String,
    `attributes` Map(String, Array(String)),
    `lists` Array(String),
    `given` Array(String),
    `removed` Bool,
    `version` UInt64,
    `updated_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY user_id
SETTINGS index_granularity = 8192
