-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0021_co_purchases_mv
-- Feeds co_purchases, the way co_baskets_mv walks an order: a person's last 20 earlier items, then the fresh ones, paired with
-- their 20 predecessors. What was bought earlier is in buyer_items, which may or may not hold the block already. It is
-- asked twice: for the items of the block, which is cheap, and for the latest of each group.

CREATE MATERIALIZED VIEW co_purchases_mv TO co_purchases
(
    `item_key` UInt64,
    `other_item_key` UInt64,
    `month` Date,
    `buyers` Int64
)
AS WITH
    lines AS
    (
        SELECT
            cityHash64(user_id) AS group_key,
            cityHash64(item_id) AS item_key,
            min(seq) AS seq_of_first,
            toStartOfMonth(toDate(argMin(timestamp, seq))) AS line_month
        FROM events
        WHERE event_type = 'purchase'
        GROUP BY
            group_key,
            item_key
    ),
    fresh AS
    (
        SELECT
            group_key,
            arraySort(groupArray((seq_of_first, item_key, line_month))) AS added
        FROM lines
        WHERE (group_key, item_key) NOT IN (
            SELECT
                buyer_key,
                item_key
            FROM buyer_items
            WHERE ((buyer_key, item_key) IN (
                SELECT
                    cityHash64(user_id),
                    cityHash64(item_id)
                FROM events
                WHERE event_type = 'purchase'
            )) AND (first_seq < (
                SELECT min(seq)
                FROM events
            ))
        )
        GROUP BY group_key
    ),
    walks AS
    (
        SELECT
            fresh.added AS fresh_lines,
            arrayMap(line -> (line.2), arrayReverse(history.latest)) AS before,
            length(before) AS known,
            arrayConcat(before, arrayMap(line -> (line.2), fresh_lines)) AS walk,
            length(walk) AS size
        FROM fresh
        LEFT JOIN
        (
            SELECT
                group_key,
                groupArraySorted(20)((-toInt64(seq_of_first), item_key)) AS latest
            FROM
            (
                SELECT
                    buyer_key AS group_key,
                    item_key,
                    min(first_seq) AS seq_of_first
                FROM buyer_items
                WHERE buyer_key IN (
                    SELECT cityHash64(user_id)
                    FROM events
                    WHERE event_type = 'purchase'
                )
                GROUP BY
                    group_key,
                    item_key
                HAVING seq_of_first < (
                    SELECT min(seq)
                    FROM events
                )
            )
            GROUP BY group_key
        ) AS history ON fresh.group_key = history.group_key
    ),
    steps AS
    (
        SELECT
            arrayJoin(range(1, least(20, size - 1) + 1)) AS distance,
            greatest(distance, known) + 1 AS start,
            arraySlice(fresh_lines, start - known) AS later_lines,
            arraySlice(walk, start - distance, (size - start) + 1) AS predecessors
        FROM walks
        WHERE size > 1
    )
SELECT
    pair.1 AS item_key,
    pair.2 AS other_item_key,
    line_month AS month,
    toInt64(1) AS buyers
FROM
(
    SELECT
        arrayJoin([(line.2, predecessor), (predecessor, line.2)]) AS pair,
        line.3 AS line_month
    FROM steps
    ARRAY JOIN
        later_lines AS line,
        predecessors AS predecessor
)
