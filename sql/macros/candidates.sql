{%- from 'constants.sql' import half_life_days, weight_unit -%}
{%- from 'totals.sql' import is_item -%}
{#- Reciprocal rank fusion (Cormack et al. 2009): the sum of 1 / (60 + rank) over the sources. -#}
{%- set fusion_constant = 60 -%}
{#- Candidates for a user from six sources, each with the features that rank it, as of the time `as_of`: from the user's events
    before it, and from the months or days of count tables that began before it. item_neighbours is read as it is now.
    `of` is the database and a dot, in front of every table.

    The sources, each by a score of its own: `again`, items the user bought; `goes_with`, items in baskets with the user's
    latest 20; `alike`, items that users with such items want next; `categories`, best sellers of the categories they buy;
    `rising`, items that sell more in the last 7 days than in 28; `popular`, best sellers of 28 days. -#}
{%- macro user_candidates(user_id, as_of, of="", pairs="co_baskets") -%}
    with
        toDate(subtractSeconds({{ as_of }}, 1)) as last_day,
        {# An order counts once for an item; without an order a day counts once. Other events count a tenth of a purchase. #}
        history as (
            select
                cityHash64(item_id) as own_key,
                uniqExact(
                    if(
                        event_type = 'purchase',
                        if(order_id = '', toString(toDate(timestamp)), order_id),
                        null
                    )
                ) as times,
                sum(
                    if(event_type = 'purchase', 1, 0.1) * exp2((toDate(timestamp) - last_day) / 60)
                ) as interest,
                dateDiff('day', maxIf(toDate(timestamp), event_type = 'purchase'), last_day) as days_since,
                max(seq) as newest
            from {{ of }}events
            where
                user_id = {{ user_id }}
                and timestamp < {{ as_of }}
                and event_type in ('purchase', 'add_to_cart', 'like', 'view', 'click')
            group by own_key
        ),
        latest as (select own_key, interest from history order by newest desc, own_key limit 20),
        goes_with as (
            select
                other_item_key as found_key,
                sum(pairs.strength * latest.interest) as score,
                argMax(pairs.item_key, (pairs.strength * latest.interest, pairs.item_key)) as because_key
            from
                (
                    select
                        item_key,
                        other_item_key,
                        sum(weight * exp2((month - last_day) / {{ half_life_days }}))
                        / {{ weight_unit }} as strength
                    from {{ pairs }}
                    where item_key in (select own_key from latest) and month <= last_day
                    group by item_key, other_item_key
                    having strength > 0
                ) as pairs
            inner join latest on latest.own_key = pairs.item_key
            group by found_key
            order by score desc, found_key
            limit 400
        ),
        alike as (
            select
                tupleElement(arrayJoin(neighbours) as neighbour, 1) as found_key,
                sum(tupleElement(neighbour, 2)) as score
            from {{ of }}item_neighbours
            where item_key in (select own_key from history)
            group by found_key
            order by score desc, found_key
            limit 300
        ),
        sold as (
            select
                item_key as sold_key,
                dictGet('{{ of }}catalogue', 'category', item_key) as sold_category,
                sum(orders) as month_orders,
                sumIf(orders, day > last_day - 7) as week_orders
            from {{ of }}daily_popularity
            where
                day > last_day - 28
                and day <= last_day
                and event_type = 'purchase'
                and {{ is_item("item_key") }}
            group by sold_key
        ),
        liked as (
            select
                dictGet('{{ of }}catalogue', 'category', own_key) as liked_category, sum(interest) as liking
            from history
            group by liked_category
        ),
        sourced as (
            select
                own_key as found_key,
                'again' as source,
                interest as source_score,
                row_number() over (order by source_score desc, found_key) as source_rank,
                toUInt64(0) as because_key
            from history
            where times > 0
            order by source_rank
            limit 300
            union all
            select
                found_key, 'goes_with', score, row_number() over (order by score desc, found_key), because_key
            from goes_with
            union all
            select found_key, 'alike', score, row_number() over (order by score desc, found_key), 0
            from alike
            union all
            select *
            from
                (
                    select
                        sold_key,
                        'categories',
                        liking * month_orders as score,
                        row_number() over (order by liking * month_orders desc, sold_key) as source_rank,
                        0
                    from sold
                    inner join liked on liked.liked_category = sold.sold_category
                    order by source_rank
                    limit 200
                )
            union all
            select *
            from
                (
                    select
                        sold_key,
                        'rising',
                        (week_orders - month_orders / 4) / sqrt(month_orders / 4 + 1) as score,
                        row_number() over (
                            order by
                                (week_orders - month_orders / 4) / sqrt(month_orders / 4 + 1) desc, sold_key
                        ) as source_rank,
                        0
                    from sold
                    order by source_rank
                    limit 100
                )
            union all
            select *
            from
                (
                    select
                        sold_key,
                        'popular',
                        toFloat64(month_orders),
                        row_number() over (order by month_orders desc, sold_key) as source_rank,
                        0
                    from sold
                    order by source_rank
                    limit 200
                )
        ),
        {# An item of several sources takes the one that ranks it highest. #}
        merged as (
            select
                found_key,
                argMin(source, (source_rank, source)) as best_source,
                argMin(source_score, (source_rank, source)) as best_score,
                max(because_key) as because_item_key,
                count() as found_by,
                sum(1 / ({{ fusion_constant }} + source_rank)) as fused,
                sumIf(source_score, source = 'goes_with') as going,
                sumIf(source_score, source = 'alike') as wanted
            from sourced
            group by found_key
            order by fused desc, found_key
            limit 1000
        )
    select
        found_key as item_key,
        best_source as source,
        best_score as source_score,
        found_by as sources,
        because_item_key,
        history.times as times_bought,
        ln(fused) as places,
        ln(1 + history.times) as repeats,
        ln(history.interest + 0.01) as interest,
        if(history.times > 0, ln(1 + greatest(0, days_since)), 8) as since,
        ln(going + 0.01) as goes_with,
        ln(sold.month_orders + 1) as popular,
        ln((sold.week_orders * 4 + 4) / (sold.month_orders + 4)) as rising,
        ln(liked.liking + 0.1) as category,
        ln(toFloat64(dictGet('{{ of }}catalogue', 'price', found_key)) + 0.1) as price
    from merged
    left join history on history.own_key = merged.found_key
    left join sold on sold.sold_key = merged.found_key
    left join liked on liked.liked_category = dictGet('{{ of }}catalogue', 'category', merged.found_key)
{%- endmacro -%}
{#- The features as an array, in the order that ranker_weights numbers as `place`. -#}
{%- macro user_values() -%}
    [places, repeats, interest, since, goes_with, popular, rising, category, price]
{%- endmacro -%}
