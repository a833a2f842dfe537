-- Events whose recommendation_id counts for nothing, and what clients forget to send. Forged: no id of this
-- service. Expired: sent more
-- than ALSOBOUGHT_RECOMMENDATION_DAYS after the list. Unlisted: an item that the recorded list did not have.
--
-- :since  DateTime?             beginning; by default seven days before the request
-- :until  DateTime?             end, not included; by default the time of the request
-- :limit  UInt16 = 10 (1..100)  number of rows
--
-- @private
-- @cache 60s
{% from 'attribution.sql' import begin, end, touched_lists %}
{% from 'intervals.sql' import ratio %}
with
    sent as (
        select
            multiIf(
                placement != 0, 'valid', toUnixTimestamp(recommended_at) = 0, 'forged', 'expired'
            ) as kind,
            count() as happened,
            uniqExact(recommendation_id) as lists
        from events
        where recommendation_id != '' and timestamp >= {{ begin(since) }} and timestamp < {{ end(until) }}
        group by kind
    ),
    recorded as (
        select
            cityHash64(recommendation_id) as recorded_key,
            groupUniqArrayArray(arrayMap(item -> cityHash64(item), item_ids)) as recorded_items
        from requests
        where
            recommendation_id != ''
            and shadow_of = ''
            and time >= {{ begin(since) }} - toIntervalHour(1)
            and time < {{ end(until) }}
        group by recorded_key
    ),
    touched as (
        select
            length(arrayFilter(item -> not has(shown_items, item), clicked_items)) as clicked_only,
            length(arrayFilter(position -> position = 0, shown_positions)) as nowhere,
            length(shown_items) + clicked_only as all_items,
            if(
                recorded_key = 0,
                0,
                length(
                    arrayFilter(
                        item -> not has(recorded_items, item),
                        arrayDistinct(arrayConcat(shown_items, clicked_items))
                    )
                )
            ) as unlisted
        from {{ touched_lists(begin(since), end(until)) }} as lists
        left join recorded on list_key = recorded_key
    )
select fault_key as fault, faulty as number, round({{ ratio("faulty", "of_all") }}, 6) as share
from
    (
        select
            arrayJoin(
                [
                    ('forged', sumIf(happened, kind = 'forged'), sum(happened)),
                    ('expired', sumIf(happened, kind = 'expired'), sum(happened))
                ]
            ) as one,
            one .1 as fault_key,
            one .2 as faulty,
            one .3 as of_all
        from sent
        union all
        select
            arrayJoin(
                [
                    ('unlisted', sum(unlisted), sum(all_items)),
                    ('without_impression', sum(clicked_only), sum(all_items)),
                    ('without_position', sum(nowhere), sum(all_items))
                ]
            ) as one,
            one .1 as fault_key,
            one .2 as faulty,
            one .3 as of_all
        from touched
    )
order by
    indexOf(['forged', 'expired', 'unlisted', 'without_impression', 'without_position'], fault_key), fault_key
limit {{ limit }}
