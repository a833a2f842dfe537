-- The votes of an experiment whose lists two variants fill in turns, by day: what each day adds. A list is won by the variant more of
-- whose items were clicked, put into a cart or bought; the items of no team, which fill the list up, count for nobody.
--
-- Whose an item was is in `sources` of `requests`, as `variant/pipe`. A cart or a purchase counts if the same user clicked the item in
-- the list before, for the last such list. Of a unit, y is what the lists it decided were won by the second variant less those that
-- the first one won, and z how many there were; a list may change sides until the end of the experiment.
--
-- Times have milliseconds on both sides of a comparison: for `time < toDateTime(…)` on a column of the primary key ClickHouse 26.9
-- reads no row of the second before.
{% set up_to_day = "order by day rows between unbounded preceding and current row" %}
with
    shown_in as (
        select placement
        from {{ database }}.placements
        where experiment = {experiment:String} and variant = {interleaved:String}
        group by placement
    ),
    drafted as (
        select
            requests.recommendation_id as list_id,
            {% if by_session %} requests.unit {% else %} if(account = '', requests.unit, account) {% endif %} as unit,
            arrayExists(source -> startsWith(source, concat({first:String}, '/')), sources) as has_first,
            arrayExists(source -> startsWith(source, concat({second:String}, '/')), sources) as has_second,
            arrayZip(item_ids, sources) as picks
        from {{ database }}.requests
        left join
            (
                select guest_id, argMax(user_merges.user_id, merged_at) as account
                from {{ database }}.user_merges
                group by guest_id
            ) as merged
            on merged.guest_id = requests.unit
        where
            experiment = {experiment:String}
            and variant = {interleaved:String}
            and requests.recommendation_id != ''
            and shadow_of = ''
            and status = 200
            and length(item_ids) = length(sources)
            and time >= toDateTime({begin:UInt32}, 'UTC')
            and time < toDateTime64({until:UInt32}, 3, 'UTC')
    ),
    teams as (
        select
            list_id,
            min(unit) as of_unit,
            cityHash64(pick.1) as picked_item,
            if(min(startsWith(pick.2, concat({second:String}, '/'))), 1, -1) as vote
        from drafted
        array join picks as pick
        where
            startsWith(pick.2, concat({first:String}, '/'))
            or startsWith(pick.2, concat({second:String}, '/'))
        group by list_id, picked_item
    ),
    touched as (
        select
            recommendation_id,
            item_key,
            user_id,
            countIf(event_type = 'impression') > 0 as is_seen,
            minIf(first_time, event_type = 'impression') as seen_at,
            countIf(event_type in ('click', 'view', 'add_to_cart', 'purchase')) > 0 as is_clicked,
            minIf(first_time, event_type in ('click', 'view', 'add_to_cart', 'purchase')) as clicked_at
        from {{ database }}.touches
        where
            day >= toDate(toDateTime({begin:UInt32}, 'UTC'))
            and day <= toDate(toDateTime64({until:UInt32}, 3, 'UTC'))
            and placement in (select placement from shown_in)
        group by recommendation_id, item_key, user_id
    ),
    credited as (
        {# An item of a list counts once, from the first time on. #}
        select list_id, item, min(at) as credited_at
        from
            (
                {% if by_clicks %}
                    select recommendation_id as list_id, item_key as item, clicked_at as at
                    from touched
                    where is_clicked
                {% else %}
                    select
                        argMax(touched.recommendation_id, (clicked_at, touched.recommendation_id)) as list_id,
                        any(touched.item_key) as item,
                        any(timestamp) as at
                    from touched
                    inner join
                        (
                            select events.user_id as user_id, cityHash64(item_id) as item_key, timestamp, seq
                            from {{ database }}.events
                            where
                                {% if by_carts %} event_type = 'add_to_cart'
                                {% else %} event_type = 'purchase' and quantity > refunded
                                {% endif %}
                                and timestamp >= toDateTime({begin:UInt32}, 'UTC')
                                and timestamp < toDateTime64({until:UInt32}, 3, 'UTC')
                        ) as happened
                        on touched.user_id = happened.user_id and touched.item_key = happened.item_key
                    where
                        is_clicked
                        and clicked_at <= timestamp
                        and timestamp < clicked_at + toIntervalDay({attribution_days:UInt16})
                    group by seq
                {% endif %}
            )
        where at >= toDateTime({begin:UInt32}, 'UTC') and at < toDateTime64({until:UInt32}, 3, 'UTC')
        group by list_id, item
    ),
    list_days as (
        select teams.list_id as list_id, of_unit, toDate(credited_at) as day, sum(vote) as votes
        from credited
        inner join teams on teams.list_id = credited.list_id and picked_item = credited.item
        group by list_id, of_unit, day
    ),
    list_margins as (
        select
            of_unit,
            day,
            sum(votes) over (partition by list_id {{ up_to_day }}) as margin,
            margin - votes as margin_before,
            row_number() over (partition by list_id {{ up_to_day }}) = 1 as is_new
        from list_days
    ),
    unit_days as (
        select
            of_unit,
            day,
            sum(sign(margin) - sign(margin_before)) as y_added,
            sum(toInt64(margin != 0) - toInt64(margin_before != 0)) as z_added,
            countIf(is_new) as voted_lists
        from list_margins
        group by of_unit, day
    ),
    unit_sums as (
        select
            day,
            voted_lists,
            toFloat64(sum(y_added) over (partition by of_unit {{ up_to_day }})) as y,
            y - y_added as y_before,
            toFloat64(sum(z_added) over (partition by of_unit {{ up_to_day }})) as z,
            z - z_added as z_before
        from unit_days
    ),
    counted as (
        select
            day,
            0 as lists,
            0 as one_sided,
            0 as unrecorded,
            toInt64(sum(voted_lists)) as voted,
            sum(toFloat64(z > 0) - toFloat64(z_before > 0)) as units,
            sum(y - y_before) as sum_y,
            sum(y * y - y_before * y_before) as sum_yy,
            sum(z - z_before) as sum_z
        from unit_sums
        group by day
        union all
        {# Lists that were seen. #}
        select
            toDate(min(seen_at)) as day,
            1 as lists,
            toInt64(recommendation_id in (select list_id from drafted where not (has_first and has_second))) as one_sided,
            {# Requests are recorded in batches, within seconds. #}
            toInt64(
                recommendation_id not in (select list_id from drafted)
                and min(seen_at) < toDateTime64({until:UInt32}, 3, 'UTC') - 60
            ) as unrecorded,
            0 as voted,
            0. as units,
            0. as sum_y,
            0. as sum_yy,
            0. as sum_z
        from touched
        where is_seen
        group by recommendation_id
    )
select
    toString(counted.day) as day,
    toFloat64(sum(counted.lists)) as lists,
    toFloat64(sum(counted.one_sided)) as one_sided,
    toFloat64(sum(counted.unrecorded)) as unrecorded,
    toFloat64(sum(counted.voted)) as voted,
    sum(counted.units) as units,
    sum(counted.sum_y) as y,
    sum(counted.sum_yy) as yy,
    sum(counted.sum_z) as z
from counted
where counted.day >= toDate(toDateTime({begin:UInt32}, 'UTC'))
group by counted.day
order by counted.day
