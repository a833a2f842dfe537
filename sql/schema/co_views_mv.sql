-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0069_co_views_mv_again
-- Feeds co_views, from the feed first_lines: it pairs a session's fresh items with their 20 predecessors. For each
-- distance from 1 to 20, the walk beside itself moved by that distance: a session of n items costs 20 n, not n * n, in time and memory.
-- No GROUP BY over the pairs: the table sums them anyway.

CREATE MATERIALIZED VIEW co_views_mv TO co_views
(
    `item_key` UInt64,
    `other_item_key` UInt64,
    `month` Date,
    `sessions` Int64
)
AS SELECT
    (arrayJoin([(line.1, predecessor), (predecessor, line.1)]) AS pair).1 AS item_key,
    pair.2 AS other_item_key,
    toStartOfMonth(line.2) AS month,
    toInt64(1) AS sessions
FROM
(
    SELECT
        length(earlier) AS known,
        arrayConcat(earlier, fresh.1) AS walk,
        length(walk) AS size,
        arrayJoin(range(1, least(20, size - 1) + 1)) AS distance,
        greatest(distance, known) + 1 AS start,
        arraySlice(fresh, start - known) AS later_lines,
        arraySlice(walk, start - distance, (size - start) + 1) AS predecessors
    FROM first_lines
    WHERE (kind = 'session') AND ((length(earlier) + length(fresh)) > 1)
)
ARRAY JOIN
    later_lines AS line,
    predecessors AS predecessor
