-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0009_co_baskets_mv
-- Feeds co_baskets: every order of the block is its last 100 earlier items followed by its fresh ones, in order of first
-- appearance, and each fresh item is paired with its 100 predecessors: for each distance from 1 to 100, the walk beside
-- itself moved by that distance. So an order of n lines costs 100 n, not n * n, in time and memory.
-- `events` is the block here, wherever it stands; order_items may or may not hold the block already, so that "earlier"
-- is decided by seq. No GROUP BY over the pairs: the table sums them anyway, and that was a third of the time.

CREATE MATERIALIZED VIEW co_baskets_mv TO co_baskets
(
    `item_key` UInt64,
    `other_item_key` UInt64,
    `month` Date,
    `baskets` Int64,
    `weight` Int64
)
AS WITH
    earlier AS
    (
        SELECT
            order_key,
            item_key,
            min(first_seq) AS seq_of_first
        FROM order_items
        WHERE order_key IN (
            SELECT cityHash64(user_id, order_id)
            FROM events
            WHERE (event_type = 'purchase') AND (order_id != '')
        )
        GROUP BY
            order_key,
            item_key
        HAVING seq_of_first < (
            SELECT min(seq)
            FROM events
        )
    ),
    lines AS
    (
        SELECT
            cityHash64(user_id, order_id) AS order_key,
            cityHash64(item_id) AS item_key,
            min(seq) AS seq_of_first,
            toStartOfMonth(toDate(argMin(timestamp, seq))) AS line_month,
            toInt64(round(1000000. / sqrt(greatest(argMin(order_size, seq), 2)))) AS line_weight
        FROM events
        WHERE (event_type = 'purchase') AND (order_id != '')
        GROUP BY
            order_key,
            item_key
    ),
    fresh AS
    (
        SELECT
            order_key,
            arraySort(groupArray((seq_of_first, item_key, line_month, line_weight))) AS added
        FROM lines
        WHERE (order_key, item_key) NOT IN (
            SELECT
                order_key,
                item_key
            FROM earlier
        )
        GROUP BY order_key
    ),
    orders AS
    (
        SELECT
            fresh.added AS fresh_lines,
            arrayMap(line -> (line.2), arraySlice(arraySort(history.firsts), -100)) AS before,
            length(before) AS known,
            arrayConcat(before, arrayMap(line -> (line.2), fresh_lines)) AS walk,
            length(walk) AS size
        FROM fresh
        LEFT JOIN
        (
            SELECT
                order_key,
                groupArray((seq_of_first, item_key)) AS firsts
            FROM earlier
            GROUP BY order_key
        ) AS history ON fresh.order_key = history.order_key
    ),
    steps AS
    (
        SELECT
            arrayJoin(range(1, least(100, size - 1) + 1)) AS distance,
            greatest(distance, known) + 1 AS start,
            arraySlice(fresh_lines, start - known) AS later_lines,
            arraySlice(walk, start - distance, (size - start) + 1) AS predecessors
        FROM orders
        WHERE size > 1
    )
SELECT
    pair.1 AS item_key,
    pair.2 AS other_item_key,
    line_month AS month,
    toInt64(1) AS baskets,
    line_weight AS weight
FROM
(
    SELECT
        arrayJoin([(line.2, predecessor), (predecessor, line.2)]) AS pair,
        line.3 AS line_month,
        line.4 AS line_weight
    FROM steps
    ARRAY JOIN
        later_lines AS line,
        predecessors AS predecessor
)
