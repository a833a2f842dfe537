-- Sums over the units of an experiment, by population, variant, metric and day: what each day adds to them, so that the sums up to a
-- day are those of its rows and of all before it.
--
-- A unit of the population `exposed` has seen an item of a list of the experiment, one of `asked` has asked for the surface: a
-- holdout sees nothing, so it is compared by intention to treat. A unit counts from that moment on. Units of two variants have the
-- variant ''. A guest's rows are those of the account since the merge, whatever is in events and touches; requests are looked up.
{# Of a unit and a day: the name of a metric, its value up to this day and up to the day before, the same of its denominator,
    and its value before the exposure. #}
{% macro mean_of(name, value, before, covariate) %}
    ('{{ name }}', {{ value }}, {{ before }}, 1., if(is_entry, 0., 1.), {{ covariate }})
{% endmacro %}
{% macro ratio_of(name, value, before, denominator, denominator_before, covariate="0.") %}
    ('{{ name }}', {{ value }}, {{ before }}, {{ denominator }}, {{ denominator_before }}, {{ covariate }})
{% endmacro %}
{% set so_far = "partition by population, unit order by day rows between unbounded preceding and current row" %}
with
    shown_in as (
        select placement, min(placements.variant) as variant
        from {{ database }}.placements
        where experiment = {experiment:String}
        group by placement
    ),
    touched as (
        select
            recommendation_id,
            item_key,
            user_id,
            placement,
            {% if by_session %} max(touches.session_id) {% else %} user_id {% endif %} as unit,
            countIf(event_type = 'impression') > 0 as is_seen,
            minIf(first_time, event_type = 'impression') as seen_at,
            minIf(first_seq, event_type = 'impression') as seen_seq,
            countIf(event_type in ('click', 'view')) > 0 as is_clicked,
            minIf(first_time, event_type in ('click', 'view')) as clicked_at
        from {{ database }}.touches
        where
            day >= toDate(toDateTime({begin:UInt32}, 'UTC'))
            and day <= toDate(toDateTime64({until:UInt32}, 3, 'UTC'))
            and placement in (select placement from shown_in)
        group by recommendation_id, item_key, user_id, placement
    ),
    impressions as (
        {# Of several users that send the same impression, it is the first one's. #}
        select
            argMin(touched.unit, seen_seq) as unit,
            argMin(touched.placement, seen_seq) as placement,
            argMin(touched.seen_at, seen_seq) as seen_at,
            argMin(touched.is_clicked, seen_seq) as is_clicked,
            argMin(touched.clicked_at, seen_seq) as clicked_at
        from touched
        where is_seen and touched.unit != ''
        group by recommendation_id, item_key
    ),
    asked as (
        select
            {% if by_session %} requests.unit {% else %} if(account = '', requests.unit, account) {% endif %} as unit,
            requests.variant as variant,
            time as asked_at
        from {{ database }}.requests
        left join
            (
                select guest_id, argMax(user_merges.user_id, merged_at) as account
                from {{ database }}.user_merges
                group by guest_id
            ) as merged
            on merged.guest_id = requests.unit
        where
            experiment = {experiment:String} and requests.unit != '' and shadow_of = '' and status = 200
    ),
    entries as (
        select 'exposed' as population, unit, shown_in.variant as variant, seen_at as entry_time
        from impressions
        inner join shown_in on impressions.placement = shown_in.placement
        union all
        select 'asked' as population, unit, variant, asked_at as entry_time
        from asked
    ),
    units as (
        select
            population,
            unit,
            if(uniqExact(variant) = 1, min(entries.variant), '') as variant,
            min(entry_time) as entered
        from entries
        where
            entry_time >= toDateTime({begin:UInt32}, 'UTC') and entry_time < toDateTime64({until:UInt32}, 3, 'UTC')
        group by population, unit
    ),
    orders as (
        select
            {% if by_session %} session_id {% else %} user_id {% endif %} as unit,
            if(order_id = '', event_id, order_id) as order_key,
            min(timestamp) as happened_at,
            sum(toFloat64(price) * (toInt64(quantity) - toInt64(refunded))) as revenue
        from {{ database }}.events
        where
            event_type = 'purchase'
            and timestamp >= toDateTime({begin:UInt32}, 'UTC') - toIntervalDay({covariate_days:UInt16})
            and timestamp < toDateTime64({until:UInt32}, 3, 'UTC')
        group by unit, order_key
    ),
    happened as (
        select unit, happened_at, 1 as orders, revenue, 0 as carts, 0 as clicks, 0 as impressions
        from orders
        union all
        select
            {% if by_session %} session_id {% else %} user_id {% endif %} as unit,
            timestamp as happened_at,
            0 as orders,
            0. as revenue,
            1 as carts,
            0 as clicks,
            0 as impressions
        from {{ database }}.events
        where
            event_type = 'add_to_cart'
            and timestamp >= toDateTime({begin:UInt32}, 'UTC') - toIntervalDay({covariate_days:UInt16})
            and timestamp < toDateTime64({until:UInt32}, 3, 'UTC')
        union all
        select
            unit,
            deed.1 as happened_at,
            0 as orders,
            0. as revenue,
            0 as carts,
            deed.2 as clicks,
            deed.3 as impressions
        from impressions
        array join [(seen_at, 0, 1), (clicked_at, toInt64(is_clicked), 0)] as deed
        union all
        select unit, asked_at as happened_at, 0 as orders, 0. as revenue, 0 as carts, 0 as clicks, 0 as impressions
        from asked
    ),
    of_days as (
        {# The day of its entry is there for every unit. What was before it has the day 1970-01-01. #}
        select
            population,
            unit,
            variant,
            entered,
            if(happened_at < entered, toDate(0), toDate(happened_at)) as day,
            happened.orders as orders,
            happened.revenue as revenue,
            happened.carts as carts,
            happened.clicks as clicks,
            happened.impressions as impressions
        from units
        inner join happened on units.unit = happened.unit
        where
            happened_at >= entered - toIntervalDay({covariate_days:UInt16})
            and happened_at < toDateTime64({until:UInt32}, 3, 'UTC')
    ),
    summed as (
        select
            population,
            unit,
            variant,
            entered,
            day,
            toFloat64(sum(of_days.orders)) as orders,
            sum(of_days.revenue) as revenue,
            toFloat64(sum(of_days.carts)) as carts,
            toFloat64(sum(of_days.clicks)) as clicks,
            toFloat64(sum(of_days.impressions)) as impressions
        from of_days
        group by population, unit, variant, entered, day
    ),
    cumulated as (
        select
            population,
            variant,
            day,
            day = toDate(entered) as is_entry,
            sumIf(summed.orders, day != toDate(0)) over ({{ so_far }}) as orders_now,
            orders_now - summed.orders as orders_before,
            sumIf(summed.revenue, day != toDate(0)) over ({{ so_far }}) as revenue_now,
            revenue_now - summed.revenue as revenue_before,
            sumIf(summed.carts, day != toDate(0)) over ({{ so_far }}) as carts_now,
            carts_now - summed.carts as carts_before,
            sum(summed.clicks) over ({{ so_far }}) as clicks_now,
            clicks_now - summed.clicks as clicks_before,
            sum(summed.impressions) over ({{ so_far }}) as impressions_now,
            impressions_now - summed.impressions as impressions_before,
            sumIf(summed.orders, day = toDate(0)) over ({{ so_far }}) as orders_ahead,
            sumIf(summed.revenue, day = toDate(0)) over ({{ so_far }}) as revenue_ahead,
            sumIf(summed.carts, day = toDate(0)) over ({{ so_far }}) as carts_ahead
        from summed
    ),
    compared as (
        {# The value of an order before, of all units together: what a unit spent beyond it is the covariate of its order value. Of
           lists of the experiment nobody clicked before: click-through has none. #}
        select
            *,
            sumIf(revenue_ahead, is_entry) over (partition by population)
            / greatest(1, sumIf(orders_ahead, is_entry) over (partition by population)) as order_value_ahead
        from cumulated
        where day != toDate(0)
    ),
    measured as (
        select
            population,
            variant,
            day,
            is_entry,
            arrayJoin(
                [
                    {{ mean_of("revenue_per_unit", "revenue_now", "revenue_before", "revenue_ahead") }},
                    {{ mean_of("orders_per_unit", "orders_now", "orders_before", "orders_ahead") }},
                    {{
                        mean_of(
                            "conversion_rate",
                            "toFloat64(orders_now > 0)",
                            "toFloat64(orders_before > 0)",
                            "toFloat64(orders_ahead > 0)"
                        )
                    }},
                    {{
                        mean_of(
                            "add_to_cart_rate",
                            "toFloat64(carts_now > 0)",
                            "toFloat64(carts_before > 0)",
                            "toFloat64(carts_ahead > 0)"
                        )
                    }},
                    {{
                        ratio_of(
                            "average_order_value",
                            "revenue_now",
                            "revenue_before",
                            "orders_now",
                            "orders_before",
                            "revenue_ahead - order_value_ahead * orders_ahead"
                        )
                    }},
                    {{
                        ratio_of(
                            "click_through_rate", "clicks_now", "clicks_before", "impressions_now", "impressions_before"
                        )
                    }}
                ]
            ) as measure,
            measure.1 as metric,
            measure.2 as value,
            measure.3 as value_before,
            measure.4 as base,
            measure.5 as base_before,
            measure.6 as covariate
        from compared
    )
select
    population,
    variant,
    metric,
    toString(day) as day,
    toFloat64(countIf(is_entry)) as units,
    sum(toFloat64(value > 0) - toFloat64(value_before > 0)) as active,
    sum(value - value_before) as y,
    sum(value * value - value_before * value_before) as yy,
    sum(base - base_before) as z,
    sum(base * base - base_before * base_before) as zz,
    sum(value * base - value_before * base_before) as yz,
    sumIf(covariate, is_entry) as x,
    sumIf(covariate * covariate, is_entry) as xx,
    sum(covariate * (value - value_before)) as xy,
    sum(covariate * (base - base_before)) as xz
from measured
group by population, variant, metric, day
order by population, variant, metric, day
