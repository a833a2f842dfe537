-- Pairs of a shown item and another item of its order, with the gain of the other item in an ideal list: 1 / ideal DCG for an
-- order of this size, summed over the draws of ranker_asked.sql.
with
    lines as (
        select cityHash64(user_id, order_id) as order_key, cityHash64(item_id) as item_key
        from {{ database }}.events
        where
            event_type = 'purchase'
            and order_id != ''
            and timestamp >= toDateTime({begin:UInt32}, 'UTC')
            and timestamp < toDateTime64({until:UInt32}, 3, 'UTC')
        group by order_key, item_key
    ),
    sized as (
        select
            groupArray(item_key) as members,
            length(members) as size,
            arraySum(arrayMap(place -> 1 / log2(place + 1), range(1, least(10, size - 1) + 1))) as ideal
        from lines
        group by order_key
        having size between 2 and 100
    )
select shown_key as item_key, other_item_key, sum(1 / size / ideal) as bought
from (select arrayJoin(members) as shown_key, members, size, ideal from sized)
array join members as other_item_key
where item_key in ({keys:Array(UInt64)}) and other_item_key != item_key
group by item_key, other_item_key
