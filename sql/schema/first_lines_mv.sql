-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0063_first_lines_mv
-- Feeds first_lines: decides once, for orders, buyers and sessions, which items of the block are new to their group. The histories
-- may or may not hold the block already, and in a rebuild later blocks too, so that "earlier" is decided by seq. The key of a group
-- is marked with the number of its kind, which only a row of the block has as its kind; a row of a history has 0. `group_lines` is
-- the block; it comes first, since a view listens to the leftmost table. One look at each history: a sub-query costs a small insert
-- more than its rows do. A partial sort, since groupArraySorted took ten times as long.

CREATE MATERIALIZED VIEW first_lines_mv TO first_lines
(
    `kind` UInt8,
    `is_new` UInt8,
    `earlier` Array(UInt64),
    `fresh` Array(Tuple(
        UInt64,
        Date,
        Int64))
)
AS WITH
    (
        SELECT min(first_seq)
        FROM group_lines
    ) AS begin
SELECT
    kind,
    is_new,
    earlier,
    fresh
FROM
(
    SELECT 1
    FROM group_lines
    LIMIT 1
) AS block
CROSS JOIN
(
    SELECT
        max(line_kind) AS kind,
        groupArrayIf(item_key, seq_of_first < begin) AS known,
        groupArrayIf(seq_of_first, seq_of_first < begin) AS seqs,
        empty(known) AS is_new,
        arrayPartialReverseSort((item, seq) -> seq, 100, known, seqs) AS latest,
        arrayReverse(arraySlice(latest, 1, if(kind = 1, 100, 20))) AS earlier,
        groupArrayIf((seq_of_first, item_key, line_day, line_weight), (seq_of_first >= begin) AND (line_kind > 0)) AS added,
        arrayMap(line -> (line.2, line.3, line.4), arraySort(added)) AS fresh
    FROM
    (
        SELECT
            line_key,
            item_key,
            min(first_seq) AS seq_of_first,
            max(line_kind) AS line_kind,
            max(day) AS line_day,
            max(weight) AS line_weight
        FROM
        (
            SELECT
                bitXor(group_key, toUInt8(kind)) AS line_key,
                item_key,
                first_seq,
                toUInt8(kind) AS line_kind,
                day,
                weight
            FROM group_lines
            UNION ALL
            SELECT
                bitXor(order_key, 1),
                item_key,
                first_seq,
                toUInt8(0),
                toDate(0),
                toInt64(0)
            FROM order_items
            WHERE order_key IN (
                SELECT group_key
                FROM group_lines
                WHERE kind = 'order'
            )
            UNION ALL
            SELECT
                bitXor(buyer_key, 2),
                item_key,
                first_seq,
                toUInt8(0),
                toDate(0),
                toInt64(0)
            FROM buyer_items
            WHERE buyer_key IN (
                SELECT group_key
                FROM group_lines
                WHERE kind = 'buyer'
            )
            UNION ALL
            SELECT
                bitXor(session_key, 3),
                item_key,
                first_seq,
                toUInt8(0),
                toDate(0),
                toInt64(0)
            FROM session_items
            WHERE session_key IN (
                SELECT group_key
                FROM group_lines
                WHERE kind = 'session'
            )
        )
        GROUP BY
            line_key,
            item_key
    )
    GROUP BY line_key
) AS groups
WHERE notEmpty(fresh)
