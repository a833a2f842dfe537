-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0071_item_totals_mv_again
-- Feeds item_totals, from the feed first_lines: an item counts for an order, a buyer or a session with its first
-- line there. item_key 0 stands for all items: it counts with the first line of all.

CREATE MATERIALIZED VIEW item_totals_mv TO item_totals
(
    `item_key` UInt64,
    `month` Date,
    `orders` Int64,
    `buyers` Int64,
    `sessions` Int64
)
AS SELECT
    (arrayJoin(arrayConcat(fresh, if(is_new, [(0, (fresh[1]).2, 0)], []))) AS line).1 AS item_key,
    toStartOfMonth(line.2) AS month,
    toInt64(countIf(kind = 'order')) AS orders,
    toInt64(countIf(kind = 'buyer')) AS buyers,
    toInt64(countIf(kind = 'session')) AS sessions
FROM first_lines
GROUP BY
    item_key,
    month
