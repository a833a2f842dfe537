{%- from 'catalogue.sql' import group_of -%}
{#- What came of recommendations, computed when read. The rules are in docs/how-to/measure.md. Every macro but the first is a sub-query
    for FROM; `since` and `until` are times, the second not included. -#}
{#- The beginning and the end of a period: by default the seven days before the request. -#}
{%- macro begin(since) -%}
    {% if since %} {{ since }} {% else %} {{ now }} - toIntervalDay(7) {% endif %}
{%- endmacro -%}
{#- With milliseconds as the times that it is compared with: for `time < toDateTime(…)` on a column of the primary key ClickHouse
    26.9 reads no row of the second before. -#}
{%- macro end(until) -%}
    toDateTime64({% if until %}{{ until }}{% else %}{{ now }} {% endif %}, 3, 'UTC')
{%- endmacro -%}
{#- Four weeks earlier: what a user saw then is not new. -#}
{%- macro earlier(time) -%} {{ time }} - toIntervalDay(28) {%- endmacro -%}
{#- Whether a touch is more than a look at a list: a click, a view of the page, an item put into a cart or bought. -#}
{%- macro is_click(event_type) -%}
    {{ event_type }} in ('click', 'view', 'add_to_cart', 'purchase')
{%- endmacro -%}
{#- A session; a user without one has one a day. -#}
{%- macro session_key(user_id, session_id, day) -%}
    cityHash64({{ user_id }}, if({{ session_id }} = '', toString({{ day }}), {{ session_id }}))
{%- endmacro -%}
{#- The lists of a period of which something was touched before its end, each once, whoever touched it and how often: list_key,
    touched_place (a placement), answered_at (the time of the list); shown_items and clicked_items (keys, each once), shown_positions
    (those of shown_items; 0: not sent); first_user_key, first_session (a key): of the first touch that was stored. -#}
{%- macro touched_lists(since, until) -%}
    (
        select
            list_key,
            touched_place,
            answered_at,
            first_user_key,
            first_session,
            arrayDistinct(all_shown) as shown_items,
            {# Few lists were sent twice: the others are as they are. #}
            if(
                length(shown_items) = length(all_shown),
                all_positions,
                arrayFilter((place, nth) -> nth = 1, all_positions, arrayEnumerateUniq(all_shown))
            ) as shown_positions,
            arrayDistinct(all_clicked) as clicked_items
        from
            (
                select
                    cityHash64(recommendation_id) as list_key,
                    any(placement) as touched_place,
                    any(recommended_at) as answered_at,
                    argMin(cityHash64(user_id), first_seq) as first_user_key,
                    argMin({{ session_key("user_id", "session_id", "day") }}, first_seq) as first_session,
                    groupArrayIf(item_key, event_type = 'impression') as all_shown,
                    groupArrayIf(position, event_type = 'impression') as all_positions,
                    groupArrayIf(item_key, {{ is_click("event_type") }}) as all_clicked
                from touches
                where
                    {# A clock may be behind by some minutes. #}
                    day >= toDate({{ since }}) - 1
                    and recommended_at >= {{ since }}
                    and recommended_at < {{ until }}
                    and first_time < {{ until }}
                group by list_key
            )
    )
{%- endmacro -%}
{#- What a user did with a product: a click on one size of a shirt leads to the purchase of another. -#}
{%- macro pair_key(user_id, item_key) -%} cityHash64({{ user_id }}, {{ group_of(item_key) }}) {%- endmacro -%}
{#- True for the events that convert. -#}
{%- macro is_conversion(since, until) -%}
    event_type in ('purchase', 'add_to_cart') and timestamp >= {{ since }} and timestamp < {{ until }}
{%- endmacro -%}
{#- The conversions of a period, purchases and items put into a cart, as they are now: what was refunded is none. -#}
{%- macro conversions(since, until) -%}
    (
        select
            event_type as conversion_type,
            cityHash64(user_id) as converted_user_key,
            {{ group_of("cityHash64(item_id)") }} as converted_group,
            {{ pair_key("user_id", "cityHash64(item_id)") }} as converted_pair,
            timestamp as converted_at,
            seq as conversion_seq,
            if(event_type = 'purchase', toFloat64(price) * (quantity - refunded), 0.) as amount,
            if(order_id = '', cityHash64(seq), cityHash64(user_id, order_id)) as order_key,
            sum(amount) over (partition by order_key) as order_amount
        from events
        where {{ is_conversion(since, until) }}
    )
{%- endmacro -%}
{#- The shares of so many touches, in order: the last has all, or the first and the last have 40 % each and the others the rest. -#}
{%- macro credits(touch_count, model) -%}
    arrayMap(
        nth -> multiIf(
            {{ model }} = 'last_touch',
            toFloat64(nth = {{ touch_count }}),
            {{ touch_count }} <= 2,
            1 / {{ touch_count }},
            nth = 1 or nth = {{ touch_count }},
            0.4,
            0.2 / ({{ touch_count }} - 2)
        ),
        range(1, {{ touch_count }} + 1)
    )
{%- endmacro -%}
{#- Of touches in order, the first of each recommendation. -#}
{%- macro first_of_each(touches) -%}
    arrayFilter((touch, nth) -> nth = 1, {{ touches }}, arrayEnumerateUniq(tupleElement({{ touches }}, 3)))
{%- endmacro -%}
{#- The first day of which impressions may lead to a conversion. -#}
{%- macro first_look_day(since) -%} toDate({{ since }}) - {{ view_through_days }} {%- endmacro -%}
{#- A touch as a tuple: time, seq, list_key, placement, time of the list, position. -#}
{%- macro touch() -%}
    (first_time, first_seq, cityHash64(recommendation_id), placement, recommended_at, touches.position)
{%- endmacro -%}
{#- The touches that may have led to a conversion of a period: first_time; touched_pair; is_clicked; and touch, a tuple.

    The first click of a list decides, and it may have come long after the list. So clicks are read for two weeks and more, but of the
    older days, whose rows are mostly impressions, only those of a product that the user then bought. -#}
{%- macro leading_touches(since, until) -%}
    (
        select
            first_time,
            {{ pair_key("user_id", "item_key") }} as touched_pair,
            {{ is_click("event_type") }} as is_clicked,
            {{ touch() }} as touch
        from touches
        where
            day >= {{ first_look_day(since) }}
            and first_time < {{ until }}
            and (
                event_type = 'impression'
                and first_time >= {{ since }} - toIntervalDay({{ view_through_days }})
                or is_clicked
            )
        union all
        select
            first_time,
            {{ pair_key("user_id", "item_key") }} as touched_pair,
            true as is_clicked,
            {{ touch() }} as touch
        from touches
        prewhere
            day < {{ first_look_day(since) }}
            and day >= toDate({{ since }}) - {{ attribution_days }} - {{ recommendation_days }} - 1
            and {{ is_click("event_type") }}
            and {{ pair_key("user_id", "item_key") }} in (
                select {{ pair_key("user_id", "cityHash64(item_id)") }}
                from events
                where {{ is_conversion(since, until) }}
            )
        where first_time < {{ until }}
    )
{%- endmacro -%}
{#- The conversions of a period with a touch of the same user and product before: the columns of conversions, and the touches in
    order, before_clicks and before_looks. Looks are the impressions of the last view_through_days. -#}
{%- macro touched_conversions(since, until) -%}
    (
        select
            conversion_seq,
            any(converted.conversion_type) as conversion_type,
            any(converted.converted_user_key) as converted_user_key,
            any(converted.converted_group) as converted_group,
            any(converted.converted_at) as converted_at,
            any(converted.amount) as amount,
            any(converted.order_key) as order_key,
            any(converted.order_amount) as order_amount,
            arraySort(groupArrayIf(touch, is_clicked)) as before_clicks,
            arraySort(groupArrayIf(touch, not is_clicked)) as before_looks
        from {{ leading_touches(since, until) }} as leading
        inner join {{ conversions(since, until) }} as converted on touched_pair = converted_pair
        where
            first_time <= converted.converted_at
            and (is_clicked or first_time >= converted.converted_at - toIntervalDay({{ view_through_days }}))
        group by conversion_seq, converted_pair
    )
{%- endmacro -%}
{#- The conversions that recommendations led to, one row for each recommendation with a share in one: the columns of conversions;
    list_key, touched_place and answered_at as in touched_lists; place_in_list (0: not sent); touched_at (the first click, or for a
    view-through the first impression); view_through (0 or 1); and `credit`, whose sum over a conversion is 1. `model`: last_touch or
    position_weighted.

    A conversion counts for touches of the same user and product before it: those with a click at most attribution_days before it, or if
    there is none, impressions at most view_through_days before it. -#}
{%- macro attributed(since, until, model) -%}
    (
        select
            * except (share),
            (share .1) .1 as touched_at,
            (share .1) .3 as list_key,
            (share .1) .4 as touched_place,
            (share .1) .5 as answered_at,
            (share .1) .6 as place_in_list,
            share .2 as credit
        from
            (
                select
                    * except (qualified, touch_count),
                    arrayJoin(arrayZip(qualified, {{ credits("touch_count", model) }})) as share
                from
                    (
                        select
                            * except (clicks, looks),
                            empty(clicks) as view_through,
                            if(view_through, looks, clicks) as qualified,
                            length(qualified) as touch_count
                        from
                            (
                                select
                                    * except (before_clicks, before_looks),
                                    arrayFilter(
                                        touch -> touch .1
                                        >= converted_at - toIntervalDay({{ attribution_days }}),
                                        {{ first_of_each("before_clicks") }}
                                    ) as clicks,
                                    {{ first_of_each("before_looks") }} as looks
                                from {{ touched_conversions(since, until) }}
                            )
                    )
            )
        where credit > 0
    )
{%- endmacro -%}
{#- The placements, each once: placement, surface, pipe, version, experiment and variant. A list that no surface showed was asked from
    the pipe itself: its surface is /pipes/ and the name. -#}
{%- macro known_placements() -%}
    (
        select
            placement as known_place,
            any(placements.pipe) as known_pipe,
            any(
                if(placements.surface = '', concat('/pipes/', placements.pipe), placements.surface)
            ) as known_surface,
            any(placements.version) as known_version,
            any(placements.experiment) as known_experiment,
            any(placements.variant) as known_variant
        from placements
        group by known_place
    )
{%- endmacro -%}
{#- What rows are split by besides their placement, as a number. -#}
{%- macro split_of(by, since, position, day, user_key) -%}
    multiIf(
        {{ by }} = 'position',
        toUInt32({{ position }}),
        {{ by }} = 'day',
        toUInt32(toUInt16(toDate({{ day }}))),
        {{ by }} = 'segment',
        toUInt32(
            {{ user_key }} in (
                select cityHash64(user_id)
                from user_days
                where {{ by }} = 'segment' and day < toDate({{ since }})
                group by user_id
            )
        ),
        toUInt32(0)
    )
{%- endmacro -%}
{#- How a row is called in the answer. -#}
{%- macro label_of(by) -%}
    multiIf(
        {{ by }} = 'day',
        toString(toDate(toUInt16(split))),
        place = 0,
        '',
        {{ by }} = 'surface',
        known_surface,
        {{ by }} = 'pipe',
        known_pipe,
        {{ by }} = 'version',
        concat(known_pipe, '@', known_version),
        {{ by }} = 'variant',
        if(known_experiment = '', '', concat(known_experiment, '/', known_variant)),
        {{ by }} = 'position',
        toString(split),
        {{ by }} = 'segment',
        if(split = 1, 'returning', 'new'),
        ''
    )
{%- endmacro -%}
{#- Users in a thousand groups: few rows, whose spread gives the same intervals as that of users (K. Wolter, Introduction to Variance
    Estimation, chapter 2, random groups). -#}
{%- macro group_of_users(user_key) -%} {{ user_key }} % 1000 {%- endmacro -%}
{#- The rows from which recommendation_metrics is summed, by placement, split and group of users: what was touched, what it is credited
    with (credited_parts), and what the shop sold in all (sold_parts). -#}
{%- macro touched_parts(since, until, by) -%}
    (
        select
            place,
            split,
            bucket,
            sum(shown_here) as impressions,
            sum(if({{ by }} = 'position', clicked_here, clicked)) as clicks,
            sum(clicked_here) as clicked_impressions,
            groupArrayIf(first_session, shown_here > 0) as sessions,
            0. as carts,
            0. as purchases,
            0. as revenue,
            0. as view_revenue,
            cast([], 'Array(Tuple(UInt64, Float64))') as orders,
            0. as shop_revenue,
            toUInt64(0) as shop_orders
        from
            (
                select
                    touched_place as place,
                    {# Its items one by one, or all together. #}
                    arrayJoin(
                        if(
                            {{ by }} = 'position',
                            arrayMap(
                                (item, position)
                                -> (position, toUInt64(1), toUInt64(has(clicked_items, item))),
                                shown_items,
                                shown_positions
                            ),
                            [
                                (
                                    toUInt16(0),
                                    length(shown_items),
                                    if(
                                        empty(clicked_items),
                                        toUInt64(0),
                                        length(arrayIntersect(clicked_items, shown_items))
                                    )
                                )
                            ]
                        )
                    ) as part,
                    {{ split_of(by, since, "part.1", "answered_at", "first_user_key") }} as split,
                    {{ group_of_users("first_user_key") }} as bucket,
                    part .2 as shown_here,
                    part .3 as clicked_here,
                    length(clicked_items) as clicked,
                    first_session
                from {{ touched_lists(since, until) }}
            )
        group by place, split, bucket
    )
{%- endmacro -%}
{#- Each product of a list twice: once for the rates of the list, in which it counts at most once, and once for revenue, which is that of
    the day of the purchase. -#}
{%- macro credited_parts(since, until, by, model) -%}
    (
        select
            touched_place as place,
            {{
                split_of(
                    by,
                    since,
                    "place_in_list",
                    "if(is_money, converted_at, answered_at)",
                    "converted_user_key",
                )
            }} as split,
            {{ group_of_users("converted_user_key") }} as bucket,
            toUInt64(0) as impressions,
            toUInt64(0) as clicks,
            toUInt64(0) as clicked_impressions,
            emptyArrayUInt64() as sessions,
            least(1., sumIf(credit, is_of_list and conversion_type = 'add_to_cart')) as carts,
            least(1., sumIf(credit, is_of_list and conversion_type = 'purchase')) as purchases,
            sumIf(amount * credit, is_money and not view_through) as revenue,
            sumIf(amount * credit, is_money and view_through) as view_revenue,
            groupUniqArrayIf(
                (order_key, order_amount), is_money and not view_through and conversion_type = 'purchase'
            ) as orders,
            0. as shop_revenue,
            toUInt64(0) as shop_orders
        from
            (
                select
                    *,
                    arrayJoin([false, true]) as is_money,
                    not is_money and not view_through and answered_at >= {{ since }} as is_of_list
                from {{ attributed(since, until, model) }}
            )
        where is_money or is_of_list
        group by place, split, bucket, list_key, converted_group, is_money
    )
{%- endmacro -%}
{%- macro sold_parts(since, until, by) -%}
    (
        select
            toUInt64(0) as place,
            if({{ by }} = 'day', toUInt32(toUInt16(toDate(converted_at))), toUInt32(0)) as split,
            toUInt64(0) as bucket,
            toUInt64(0) as impressions,
            toUInt64(0) as clicks,
            toUInt64(0) as clicked_impressions,
            emptyArrayUInt64() as sessions,
            0. as carts,
            0. as purchases,
            0. as revenue,
            0. as view_revenue,
            cast([], 'Array(Tuple(UInt64, Float64))') as orders,
            sum(amount) as shop_revenue,
            uniqExact(order_key) as shop_orders
        from {{ conversions(since, until) }}
        where conversion_type = 'purchase'
        group by split
    )
{%- endmacro -%}
