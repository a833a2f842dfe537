{#- How items are ranked by what was learnt (`alsobought learn ranker`): the candidates of an item with their features, and the
    score. Learning and answering take both from here, so that what was learnt of is what is asked with. -#}
{#- For each of the items `keys` the 300 that go with it most, with their features, as they were at the time `as_of`: of
    each table the months or days that began before it. `of` is the database in front of a table, where there is no other. -#}
{%- macro pair_features(keys, as_of, of="") -%}
    with
        pairs as (
            select
                item_key,
                other_item_key,
                sum(baskets) as times,
                sum(weight) / 1e6 as weighed,
                sum(weight * exp2((month - toDate({{ as_of }})) / 180)) / 1e6 as decayed,
                sumIf(
                    baskets, month >= addMonths(toStartOfMonth(subtractSeconds({{ as_of }}, 1)), -1)
                ) as lately
            from {{ of }}co_baskets
            where item_key in {{ keys }} and toDateTime(month, 'UTC') < {{ as_of }}
            group by item_key, other_item_key
            having times > 0
            order by decayed desc, other_item_key
            limit 300 by item_key
        ),
        sold as (
            select
                item_key as sold_key,
                sum(orders) as sold_orders,
                sumIf(orders, day >= toDate({{ as_of }}) - 7) as week_orders
            from {{ of }}daily_popularity
            where
                day >= toDate({{ as_of }}) - 28
                and toDateTime(day, 'UTC') < {{ as_of }}
                and event_type = 'purchase'
            group by sold_key
        ),
        {# item_key 0 stands for all items. #}
        (
            select (sum(orders), sumIf(orders, day >= toDate({{ as_of }}) - 7))
            from {{ of }}daily_popularity
            where
                day >= toDate({{ as_of }}) - 28
                and toDateTime(day, 'UTC') < {{ as_of }}
                and event_type = 'purchase'
                and item_key = 0
        ) as all_sold,
        own as (
            select item_key as own_key, sum(orders) as own_orders
            from {{ of }}item_totals
            where item_key in {{ keys }} and toDateTime(month, 'UTC') < {{ as_of }}
            group by own_key
        ),
        counted as (
            select
                pairs.item_key as item_key,
                other_item_key,
                times,
                weighed / times as lightness,
                decayed,
                lately,
                greatest(1, own.own_orders) as orders_of_item,
                sum(decayed) over (partition by pairs.item_key) as all_decayed,
                sum(times) over (partition by pairs.item_key) as all_times,
                sum(lately) over (partition by pairs.item_key) as all_lately,
                sold.sold_orders / greatest(1, assumeNotNull(tupleElement(all_sold, 1))) as popularity,
                sold.week_orders
                / greatest(1, assumeNotNull(tupleElement(all_sold, 2))) as popularity_of_week,
                dictGet('{{ of }}catalogue', 'category', other_item_key) as other_category,
                dictGet('{{ of }}catalogue', 'category', pairs.item_key) as own_category,
                toFloat64(dictGet('{{ of }}catalogue', 'price', other_item_key)) as other_price,
                toFloat64(dictGet('{{ of }}catalogue', 'price', pairs.item_key)) as own_price
            from pairs
            left join sold on sold.sold_key = pairs.other_item_key
            left join own on own.own_key = pairs.item_key
        ),
        compared as (
            select
                *,
                decayed * all_times / all_decayed as as_now,
                sum(decayed) over (partition by item_key, other_category) / all_decayed as share_of_pairs,
                sum(popularity) over (partition by item_key, other_category) as category_popularity,
                sum(popularity) over (partition by item_key) as all_popularity
            from counted
        )
    select
        item_key,
        other_item_key,
        times,
        decayed,
        ln((as_now + 30 * popularity) / (orders_of_item + 30)) as together,
        ln(popularity + 3e-5) as popular,
        ln(1 + times) as baskets,
        ln((times + 0.5) / (orders_of_item * popularity + 0.5)) as lift,
        ln((share_of_pairs + 0.01) / (category_popularity / (all_popularity + 1e-9) + 0.01)) as category_lift,
        ln((popularity + 1e-5) / (category_popularity + 1e-5)) as share_of_category,
        ln(lightness * all_times / all_decayed) as small_baskets,
        ln((lately / greatest(1, all_lately) + 0.1 / all_times) / ((times + 0.1) / all_times)) as recent,
        ln((popularity_of_week + 2e-4) / (popularity + 2e-4)) as rising,
        ln(other_price + 0.1) as price,
        ln((other_price + 0.1) / (own_price + 0.1)) as price_ratio,
        if(other_category = own_category, 1, -1) * ln(1 + times) as same_category
    from compared
{%- endmacro -%}
{#- The features in the order that ranker_weights calls `place`, as an array. -#}
{%- macro features() -%}
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
    was learnt, the first feature alone. rows: what `learnt` gave. -#}
{%- macro learnt_score(rows) -%}
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
            {{ features() }},
            arrayEnumerate({{ features() }})
        )
    )
{%- endmacro -%}
