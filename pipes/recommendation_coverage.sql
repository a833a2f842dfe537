-- How much of the catalogue recommendations show, and whether it is new to those who see it: coverage,
-- novelty and repeat exposure.
-- docs/how-to/measure.md defines every column.
--
-- :since  DateTime?               beginning; by default seven days before the request
-- :until  DateTime?               end, not included; by default the time of the request
-- :by     String = surface (surface, pipe, version, variant, total)  a row for each of them
-- :limit  UInt16 = 100 (1..1000)  number of rows
--
-- @private
-- @cache 60s
{% from 'attribution.sql' import begin, earlier, end, known_placements, label_of, touched_lists %}
{% from 'catalogue.sql' import available %}
{% from 'intervals.sql' import ratio %}
with
    (
        select countIf({{ available("item_key") }})
        from (select cityHash64(item_id) as item_key from items group by item_key)
    ) as catalogue_size,
    greatest(1, dictGetOrDefault('item_demand', 'orders', toUInt64(0), 0)) as all_orders,
    {# What each user was shown, list by list in their order: the placement and the items. The first one, without a placement, is
       all that the user saw in the four weeks before. #}
    shown as (
        select
            user_key,
            arraySort(groupArray((listed.answered_at, listed.list_key, listed.place, listed.items))) as lists,
            arrayFlatten(tupleElement(lists, 4)) as item_keys,
            arrayFlatten(
                arrayMap(
                    (items, place) -> arrayWithConstant(length(items), place),
                    tupleElement(lists, 4),
                    tupleElement(lists, 3)
                )
            ) as places
        from
            (
                select
                    first_user_key as user_key,
                    answered_at,
                    list_key,
                    touched_place as place,
                    shown_items as items
                from {{ touched_lists(begin(since), end(until)) }}
                union all
                select
                    cityHash64(user_id) as user_key,
                    toDateTime64(0, 3, 'UTC') as answered_at,
                    toUInt64(0) as list_key,
                    toUInt64(0) as place,
                    groupArray(item_key) as items
                from touches
                where
                    day >= toDate({{ earlier(begin(since)) }}) - 1
                    and event_type = 'impression'
                    and recommended_at >= {{ earlier(begin(since)) }}
                    and recommended_at < {{ begin(since) }}
                    and first_time < {{ end(until) }}
                group by user_key
            ) as listed
        group by user_key
    ),
    impressions as (
        select one .1 as shown_key, one .2 as place, count() as times, countIf(one .3 > 1) as times_seen
        from
            (
                select
                    1 + countEqual(places, 0) as first,
                    arrayJoin(
                        arrayZip(
                            arraySlice(item_keys, first),
                            arraySlice(places, first),
                            arraySlice(arrayEnumerateUniq(item_keys), first)
                        )
                    ) as one
                from shown
            )
        group by shown_key, place
    ),
    summed as (
        select
            if({{ by }} = 'total', '*', {{ label_of(by) }}) as label_key,
            shown_key,
            sum(listed.times) as times,
            any({{ available("shown_key") }}) as is_available,
            sum(listed.times_seen) as times_seen
        from (select *, toUInt32(0) as split from impressions) as listed
        left join {{ known_placements() }} as known on place = known_place
        group by label_key, shown_key
    )
select
    if(label_key = '*', 'total', label_key) as value,
    sum(times) as impressions,
    count() as items,
    round({{ ratio("sum(is_available)", "catalogue_size") }}, 6) as coverage,
    round(
        {{
            ratio(
                "sum(times * -log2(greatest(1, dictGetOrDefault('item_demand', 'orders', shown_key, 0)) / all_orders))",
                "impressions",
            )
        }},
        4
    ) as novelty,
    round({{ ratio("sum(times_seen)", "impressions") }}, 6) as repeat_exposure
from summed
where label_key != ''
group by label_key
order by impressions desc, label_key
limit {{ limit }}
