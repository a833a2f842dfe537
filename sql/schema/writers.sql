-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0034_writers
-- Who may store events on a server: the newest epoch. Every insert asks, so that a writer that was held up and wakes after
-- another took over stores nothing. A second row, `stored`, follows a claim with its first batch. An embedded warehouse has one writer by nature and no row here.

CREATE TABLE writers
(
    `epoch` UInt64,
    `holder` String,
    `stored` Bool,
    `noted_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY epoch
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
