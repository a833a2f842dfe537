{#- What came of recommendations, computed when read. The rules are in docs/how-to/measure.md. Every macro but the first is a sub-query
    for FROM; `since` and `until` are times, the second not included. -#}
{#- The beginning and the end of a period: by default the seven days before the request. -#}
{%- macro begin(since) -%}
    {% if since %} {{ since }} {% else %} {{ now }} - toIntervalDay(7) {% endif %}
{%- endmacro -%}
{%- macro end(until) -%} {% if until %} {{ until }} {% else %} {{ now }} {% endif %} {%- endmacro -%}
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
    (those of shown_items; 0: not sent); first_user, first_user_key, first_session (a key): of the first touch that was stored. -#}
{%- macro touched_lists(since, until) -%}
    (
        select
            list_key,
            touched_place,
            answered_at,
            first_user,
            first_user_key,
            first_session,
            arrayDistinct(all_shown) as shown_items,
            arrayFilter(
                (place, nth) -> nth = 1, all_positions, arrayEnumerateUniq(all_shown)
            ) as shown_positions,
            arrayDistinct(all_clicked) as clicked_items
        from
            (
                select
                    cityHash64(recommendation_id) as list_key,
                    any(placement) as touched_place,
                    any(recommended_at) as answered_at,
                    argMin(user_id, first_seq) as first_user,
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
{#- The conversions of a period, purchases and items put into a cart, as they are now: what was refunded is none. -#}
{%- macro conversions(since, until) -%}
    (
        select
            event_type as conversion_type,
            user_id as converted_user,
            cityHash64(item_id) as converted_item,
            timestamp as converted_at,
            seq as conversion_seq,
            if(event_type = 'purchase', toFloat64(price) * quantity, 0.) as amount,
            if(order_id = '', cityHash64(seq), cityHash64(user_id, order_id)) as order_key,
            sum(amount) over (partition by order_key) as order_amount
        from events
        where
            event_type in ('purchase', 'add_to_cart') and timestamp >= {{ since }} and timestamp < {{ until }}
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
{#- The conversions of a period with a touch of the same user and item before: the columns of conversions, and `before`, the touches in
    order: time, seq, list_key, placement, time of the list, position, is_clicked. Impressions of the last view_through_days only. -#}
{%- macro touched_conversions(since, until) -%}
    (
        select
            conversion_seq,
            converted_pair,
            any(conversion_type) as conversion_type,
            any(converted_user) as converted_user,
            any(converted_item) as converted_item,
            any(converted_at) as converted_at,
            any(amount) as amount,
            any(order_key) as order_key,
            any(order_amount) as order_amount,
            arraySort(
                groupArray(
                    (
                        first_time,
                        first_seq,
                        cityHash64(recommendation_id),
                        placement,
                        recommended_at,
                        touches.position,
                        is_clicked
                    )
                )
            ) as before
        from
            (
                select
                    first_time,
                    first_seq,
                    recommendation_id,
                    placement,
                    recommended_at,
                    touches.position,
                    cityHash64(user_id, item_key) as touched_pair,
                    {{ is_click("event_type") }} as is_clicked
                from touches
                where
                    first_time < {{ until }}
                    and (
                        event_type = 'impression'
                        and day >= toDate({{ since }}) - {{ view_through_days }}
                        and first_time >= {{ since }} - toIntervalDay({{ view_through_days }})
                        {# The first click of a list decides, and it may have come long after the list. #}
                        or is_clicked
                        and day
                        >= toDate({{ since }}) - {{ attribution_days }} - {{ recommendation_days }} - 1
                    )
            ) as touches
        inner join
            (
                select *, cityHash64(converted_user, converted_item) as converted_pair
                from {{ conversions(since, until) }}
            ) as converted
            on touched_pair = converted_pair
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

    A conversion counts for touches of the same user and item before it: those with a click at most attribution_days before it, or if
    there is none, impressions at most view_through_days before it. -#}
{%- macro attributed(since, until, model) -%}
    (
        select
            conversion_type,
            converted_user,
            converted_item,
            converted_at,
            conversion_seq,
            amount,
            order_key,
            order_amount,
            arrayFilter(touch -> touch .7, before) as clicks_before,
            arrayFilter(
                touch -> touch .1 >= converted_at - toIntervalDay({{ attribution_days }}),
                {{ first_of_each("clicks_before") }}
            ) as clicks,
            arrayFilter(touch -> not touch .7, before) as looks_before,
            empty(clicks) as view_through,
            if(view_through, {{ first_of_each("looks_before") }}, clicks) as qualified,
            arrayJoin(arrayZip(qualified, {{ credits("length(qualified)", model) }})) as share,
            (share .1) .1 as touched_at,
            (share .1) .3 as list_key,
            (share .1) .4 as touched_place,
            (share .1) .5 as answered_at,
            (share .1) .6 as place_in_list,
            share .2 as credit
        from {{ touched_conversions(since, until) }}
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
