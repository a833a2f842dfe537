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
    {# Each item that was shown to a user, with its lists in order: their times and placements. #}
    shown as (
        select shown_key, arraySort(groupArray((answered_at, list_key, touched_place))) as lists
        from
            (
                select
                    first_user_key, answered_at, list_key, touched_place, arrayJoin(shown_items) as shown_key
                from {{ touched_lists(earlier(begin(since)), end(until)) }}
            )
        group by first_user_key, shown_key
    ),
    impressions as (
        select shown_key, (one .1) .3 as place, one .2 > 1 as seen_before
        from (select shown_key, arrayJoin(arrayZip(lists, arrayEnumerate(lists))) as one from shown)
        where (one .1) .1 >= {{ begin(since) }}
    ),
    summed as (
        select
            arrayJoin([{{ label_of(by) }}, '*']) as label_key,
            shown_key,
            count() as times,
            any({{ available("shown_key") }}) as is_available,
            sum(seen_before) as times_seen
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
where (label_key = '*') = ({{ by }} = 'total') and label_key != ''
group by label_key
order by impressions desc, label_key
limit {{ limit }}
