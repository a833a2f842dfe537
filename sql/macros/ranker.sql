{#- How items are ranked by what was learnt (`alsobought learn ranker`): the candidates of an item with their features, and the
    score. Learning and answering take both from here, so that what was learnt of is what is asked with. -#}
{#- For each of the items `keys` the 300 candidates that go with it most, with their features, as they were at the time
    `as_of`: of each table the months or days that began before it. What sells most is a candidate of every item. `of` is
    the database and its dot, in front of every table; `pairs` has the rows of co_baskets. -#}
{%- macro pair_features(keys, as_of, of="", pairs="co_baskets") -%}
    with
        toDate(subtractSeconds({{ as_of }}, 1)) as last_day,
        {# item_key 0 stands for all items: it has the most orders. #}
        sold as (
            select
                item_key as sold_key,
                sum(orders) / greatest(1, max(sum(orders)) over ()) as share,
                sumIf(orders, day > last_day - 7)
                / greatest(1, max(sumIf(orders, day > last_day - 7)) over ()) as share_of_week
            from {{ of }}daily_popularity
            where day > last_day - 28 and day <= last_day and event_type = 'purchase'
            group by sold_key
        ),
        {# Pairs and what sells are added up together, which is cheaper than to join them. #}
        counted as (
            select
                item_key,
                other_item_key,
                sum(together) as times,
                sum(weight) / 1e6 as weighed,
                sum(weight * exp2((bucket - last_day) / 180)) / 1e6 as decayed,
                sumIf(together, bucket >= addMonths(toStartOfMonth(last_day), -1)) as lately,
                sum(share) as popularity,
                sum(share_of_week) as popularity_of_week,
                dictGet('{{ of }}catalogue', 'category', other_item_key) as other_category
            from
                (
                    select
                        item_key,
                        other_item_key,
                        month as bucket,
                        baskets as together,
                        weight,
                        toFloat64(0) as share,
                        toFloat64(0) as share_of_week
                    from {{ pairs }}
                    where item_key in {{ keys }} and month <= last_day
                    union all
                    select one.asked_key, sold_key, last_day, toInt64(0), toInt64(0), share, share_of_week
                    from sold
                    cross join
                        (
                            select toUInt64(0) as asked_key
                            where false
                            union all
                            {{ keys }}
                        ) as one
                    where sold_key != 0 and sold_key != one.asked_key
                )
            group by item_key, other_item_key
            {# The formula: baskets that are recent and small, as if 30 more of average size were as all are now. #}
            order by decayed + 8 * popularity desc, other_item_key
            limit 300 by item_key
        ),
        compared as (
            select
                item_key,
                other_item_key,
                times,
                weighed,
                decayed,
                lately,
                popularity,
                popularity_of_week,
                other_category = dictGet('{{ of }}catalogue', 'category', item_key) as in_same_category,
                toFloat64(dictGet('{{ of }}catalogue', 'price', other_item_key)) as other_price,
                toFloat64(dictGet('{{ of }}catalogue', 'price', item_key)) as own_price,
                sum(decayed) over (partition by item_key, other_category) as category_decayed,
                sum(popularity) over (partition by item_key, other_category) as category_popularity,
                sum(decayed) over (partition by item_key) as all_decayed,
                sum(times) over (partition by item_key) as all_times,
                sum(popularity) over (partition by item_key) + 1e-9 as all_popularity
            from counted
        )
    select
        item_key,
        other_item_key,
        times,
        decayed,

        ln((decayed + 8 * popularity + 1e-4) / (all_decayed + 8)) as together,
        ln(popularity + 3e-5) as popular,
        ln(1 + times) as baskets,
        ln((times + 0.5) / (all_times * popularity / all_popularity + 0.5)) as lift,
        ln(
            (category_decayed / (all_decayed + 0.1) + 0.01) / (category_popularity / all_popularity + 0.01)
        ) as category_lift,
        ln((popularity + 1e-5) / (category_popularity + 1e-5)) as share_of_category,
        ln((weighed + 0.1) / (times + 0.4)) as small_baskets,
        ln((lately + 0.1) / (times + 0.1)) as recent,
        ln((popularity_of_week + 2e-4) / (popularity + 2e-4)) as rising,
        ln(other_price + 0.1) as price,
        ln((other_price + 0.1) / (own_price + 0.1)) as price_ratio,
        if(in_same_category, 1, -1) * ln(1 + times) as same_category
    from compared
    where all_times > 0
{%- endmacro -%}
{#- The rows of co_baskets for the items `keys` as they were at the time `as_of`, counted again from the events before it: its
    months are too coarse to go back to a day. An order is of the month of its first line. -#}
{%- macro pairs_before(keys, as_of, of) -%}
    (
        with
            lines as (
                select
                    cityHash64(user_id, order_id) as order_key,
                    cityHash64(item_id) as line_key,
                    min(timestamp) as bought_at,
                    argMin(order_size, seq) as size
                from {{ of }}events
                where event_type = 'purchase' and order_id != '' and timestamp < {{ as_of }}
                group by order_key, line_key
            )
        select
            own.line_key as item_key,
            other.line_key as other_item_key,
            toStartOfMonth(toDate(own.bought_at)) as month,
            toInt64(1) as baskets,
            toInt64(round(1e6 / sqrt(greatest(own.size, 2)))) as weight
        from (select * from lines where line_key in {{ keys }}) as own
        inner join lines as other on own.order_key = other.order_key
        where item_key != other_item_key
    )
{%- endmacro -%}
{#- The features in the order that ranker_weights calls `place`, as an array. -#}
{%- macro pair_values() -%}
    [
        together,
        popular,
        baskets,
        lift,
        category_lift,
        share_of_category,
        small_baskets,
        recent,
        rising,
        price,
        price_ratio,
        same_category
    ]
{%- endmacro -%}
{#- What was learnt, as one value: for each feature its rows of (bucket, up_to, weight), the slope first. -#}
{%- macro learnt(model, of="") -%}
    (
        select groupArray(rows)
        from
            (
                select arraySort(groupArray((bucket, up_to, weight))) as rows
                from {{ of }}ranker_weights
                where model = '{{ model }}'
                group by place
                order by place
            )
    )
{%- endmacro -%}
{#- The score: of each feature its slope times its value, and the weight of the bucket that the value lies in. Where nothing
    was learnt, the first feature alone. rows: what `learnt` gave; features: their values as an array, in the order of `place`. -#}
{%- macro learnt_score(rows, features) -%}
    arraySum(
        arrayMap(
            (value, place) -> if(
                empty({{ rows }}),
                if(place = 1, value, 0.),
                tupleElement({{ rows }} [place][1], 3) * value + tupleElement(
                    {{ rows }} [place][
                        2 + arrayCount(one -> tupleElement(one, 2) < value, {{ rows }} [place])
                    ],
                    3
                )
            ),
            {{ features }},
            arrayEnumerate({{ features }})
        )
    )
{%- endmacro -%}
