-- Impressions of recommended items in lists that were made between two times, the newest first: once for an item of a list, however
-- often and by whomever it was sent, for the user who sent it first. Without a position nothing can be corrected. `bought` is a purchase
-- of the item by that user within {days} after the click.
with
    shown as (
        select
            recommendation_id,
            item_key,
            any(recommended_at) as listed_at,
            argMinIf(user_id, first_seq, event_type = 'impression') as shown_to,
            minIf(position, event_type = 'impression') as shown_position,
            countIf(event_type = 'impression') as impressions,
            minIf(first_time, event_type in ('click', 'view', 'add_to_cart', 'purchase')) as clicked_at,
            countIf(event_type in ('click', 'view', 'add_to_cart', 'purchase')) > 0 as is_clicked
        from {{ database }}.touches
        where
            day >= toDate(toDateTime({begin:UInt32}, 'UTC'))
            and recommended_at >= toDateTime({begin:UInt32}, 'UTC')
            and recommended_at < toDateTime64({until:UInt32}, 3, 'UTC')
            and placement != 0
        group by recommendation_id, item_key
        having impressions > 0 and shown_position > 0
        order by listed_at desc, recommendation_id, item_key
        limit {impressions:UInt32}
    ),
    bought as (
        select user_id as buyer, cityHash64(item_id) as bought_key, groupArray(timestamp) as bought_at
        from {{ database }}.events
        where
            {purchases:Bool}
            and event_type = 'purchase'
            and timestamp >= toDateTime({begin:UInt32}, 'UTC')
        group by buyer, bought_key
    )
select
    cityHash64(recommendation_id) as list_key,
    shown.item_key as item_key,
    cityHash64(shown_to) as user_key,
    toInt64(toUnixTimestamp64Milli(listed_at)) as listed,
    toUInt16(shown_position) as position,
    toUInt8(is_clicked) as clicked,
    toUInt8(
        is_clicked
        and arrayExists(at -> at >= clicked_at and at <= clicked_at + toIntervalDay({days:UInt16}), bought_at)
    ) as bought
from shown
left join bought on bought.buyer = shown.shown_to and bought.bought_key = shown.item_key
order by listed desc, list_key, item_key
