{%- from 'constants.sql' import half_life_days, max_pairs, weight_unit -%}
{%- from 'totals.sql' import is_item -%}
{#- The learned ranking of `alsobought learn ranker`: candidates with their features, and the score. Learning and serving take
    both from this file, so that a model is applied to the features that it was trained on. -#}
{#- Weight of the formula's popularity: as 30 more orders of average size, spread over items as all orders are. -#}
{%- set popularity_weight = 8 -%}
{#- For each of the items `keys` its 300 strongest candidates with their features, as of the time `as_of`: from the months or days
    of each table that began before it. Best sellers are candidates of every item. `of` is the database and a dot, in front of
    every table; `pairs` has the rows of co_baskets. -#}
{%- macro pair_features(keys, as_of, of="", pairs="co_baskets") -%}
    with
        toDate(subtractSeconds({{ as_of }}, 1)) as last_day,
        {# The row of all items has the most orders. #}
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
        {# UNION ALL and GROUP BY of pairs and best sellers is cheaper than a join. #}
        counted as (
            select
                item_key,
                other_item_key,
                sum(together) as times,
                sum(weight) / {{ weight_unit }} as weighed,
                sum(weight * exp2((bucket - last_day) / {{ half_life_days }})) / {{ weight_unit }} as decayed,
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
                    select asked.asked_key, sold_key, last_day, toInt64(0), toInt64(0), share, share_of_week
                    from sold
                    cross join
                        (
                            select toUInt64(0) as asked_key
                            where false
                            union all
                            {{ keys }}
                        ) as asked
                    where {{ is_item("sold_key") }} and sold_key != asked.asked_key
                )
            group by item_key, other_item_key
            {# The formula: recent and small baskets, smoothed by what sells now. #}
            order by decayed + {{ popularity_weight }} * popularity desc, other_item_key
            limit {{ max_pairs }} by item_key
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

        ln(
            (decayed + {{ popularity_weight }} * popularity + 1e-4) / (all_decayed + {{ popularity_weight }})
        ) as together,
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
{#- The rows of co_baskets for the items `keys` as of the time `as_of`, recounted from the events before it, since the months of
    the table cannot be cut at a day. An order belongs to the month of its first line. -#}
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
{#- The features as an array, in the order that ranker_weights numbers as `place`. -#}
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
{#- The learned weights as one value: for each feature its rows of (bucket, up_to, weight), the slope first. -#}
{%- macro learned_weights(model, of="") -%}
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
{#- The learned score: the sum over all features of slope * value and the weight of the value's bucket. Without learned weights
    the first feature alone. rows: the value of `learned_weights`; features: an array, in the order of `place`. -#}
{%- macro learned_score(rows, features) -%}
    arraySum(
        arrayMap(
            (value, feature) -> if(
                empty({{ rows }}),
                if(feature = 1, value, 0.),
                tupleElement({{ rows }} [feature][1], 3) * value + tupleElement(
                    {{ rows }} [feature][
                        2 + arrayCount(one -> tupleElement(one, 2) < value, {{ rows }} [feature])
                    ],
                    3
                )
            ),
            {{ features }},
            arrayEnumerate({{ features }})
        )
    )
{%- endmacro -%}
