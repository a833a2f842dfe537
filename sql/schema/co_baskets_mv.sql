-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0009_co_baskets_mv
-- Feeds co_baskets: every order of the block is its last 100 earlier items followed by its fresh ones, in order of first
-- appearance, and each fresh item is paired with its 100 predecessors: for each distance from 1 to 100, the walk beside
-- itself moved by that distance. So an order of n lines costs 100 n, not n * n, in time and memory.
-- `events` is the block here, wherever it stands; order_items may or may not hold the block already, so that "earlier"
-- is decided by seq. No GROUP BY over the pairs: the table sums them anyway, and that was a third of the time.
--
-- 0059_co_baskets_mv_feed
-- co_baskets_mv reads the feed first_lines instead of events: it pairs an order's fresh items with their 100 predecessors. For each
-- distance from 1 to 100, the walk beside itself moved by that distance: an order of n items costs 100 n, not n * n, in time and memory.
-- No GROUP BY over the pairs: the table sums them anyway.

CREATE MATERIALIZED VIEW co_baskets_mv TO co_baskets
(
    `item_key` UInt64,
    `other_item_key` UInt64,
    `month` Date,
    `baskets` Int64,
    `weight` Int64
)
AS SELECT
    (arrayJoin([(line.1, predecessor), (predecessor, line.1)]) AS pair).1 AS item_key,
    pair.2 AS other_item_key,
    toStartOfMonth(line.2) AS month,
    toInt64(1) AS baskets,
    line.3 AS weight
FROM
(
    SELECT
        length(earlier) AS known,
        arrayConcat(earlier, fresh.1) AS walk,
        length(walk) AS size,
        arrayJoin(range(1, least(100, size - 1) + 1)) AS distance,
        greatest(distance, known) + 1 AS start,
        arraySlice(fresh, start - known) AS later_lines,
        arraySlice(walk, start - distance, (size - start) + 1) AS predecessors
    FROM first_lines
    WHERE (kind = 'order') AND ((length(earlier) + length(fresh)) > 1)
)
ARRAY JOIN
    later_lines AS line,
    predecessors AS predecessor
