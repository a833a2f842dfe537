-- The strongest companions of an item, at most 300: the items that were in baskets with it, the strongest first. A basket counts
-- with its weight, which halves every 180 days. `strength` is the sum of the weights as of 2020-01-01: so it changes only with a
-- basket, and a pipe makes it that of today by one factor (sql/macros/companions.sql).
--
-- After a batch, only the companions that were in its baskets are counted again; the others are taken from the row as it is.
--
-- @key item_key of orders
{% from 'constants.sql' import half_life_days, max_pairs, reference_day, weight_unit %}
select
    item_key,
    arraySort(
        one -> (-tupleElement(one, 3), tupleElement(one, 1)),
        groupArray((other_item_key, times, decayed))
    ) as companions
from
    (
        select *
        from
            (
                select
                    item_key,
                    other_item_key,
                    toUInt32(sum(baskets)) as times,
                    toFloat32(
                        sum(weight * exp2((month - {{ reference_day }}) / {{ half_life_days }}))
                        / {{ weight_unit }}
                    ) as decayed
                from {{ database }}.co_baskets
                prewhere {{ picks("item_key") }}
                {% if changed %} where {{ changed("other_item_key") }} {% endif %}
                group by item_key, other_item_key
                having sum(baskets) > 0
                {% if changed %}
                    union all
                    select item_key, one.item_key, one.baskets, one.strength
                    from {{ database }}.item_companions
                    array join companions as one
                    where {{ picks("item_key") }} and not {{ changed("one.item_key") }}
                {% endif %}
            )
        order by item_key, decayed desc, other_item_key
        limit {{ max_pairs }} by item_key
    )
group by item_key
