-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0122_experiment_stops
-- Variants of experiments that a guardrail stopped, and that somebody resumed: a row for each of the two, of which the newest counts.
-- A few rows in the life of a shop; processes that serve read them every two seconds.

CREATE TABLE experiment_stops
(
    `experiment` String,
    `variant` String,
    `at` DateTime64(3, 'UTC'),
    `is_stopped` Bool,
    `reason` String
)
ENGINE = MergeTree
ORDER BY (experiment, variant, at)
SETTINGS index_granularity = 8192
