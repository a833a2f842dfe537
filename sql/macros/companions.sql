{%- from 'catalogue.sql' import asked_item, buyable, keys_of, with_variants -%}
{%- from 'constants.sql' import half_life_days, reference_day, weight_unit -%}
{%- from 'signals.sql' import decay -%}
{#- The companions of some items, rows of asked_key (one of these items), other_item_key, shown_key (the companion, or a variant of
    it that can be bought), times (the baskets with both), strength, and basket_strength: what a basket of the item adds to a
    strength on average. What went with a variant of an item goes with the item, too: a row for each of them. The serving table
    has the strongest 300 of each item; with `all` there are all of them, which takes ten times as long; so with a filter that
    few of the strongest may pass. `keys`: a sub-query of the asked_key, instead of item_ids. -#}
{%- macro companions_of(
    item_ids,
    keys="",
    all="",
    exclude="",
    category="",
    brand="",
    min_price="",
    max_price="",
    tags="",
    currency=""
) -%}
    {% if not (all or category or brand or min_price or max_price or tags) %}
        select
            {{ asked_item("item_key", keys if keys else keys_of(item_ids)) }} as asked_key,
            one.item_key as other_item_key,
            {{ buyable("other_item_key") }} as shown_key,
            toInt64(one.baskets) as times,
            one.strength as strength,
            arraySum(companions.strength) / arraySum(companions.baskets) as basket_strength
        from item_companions
        array join companions as one
        where item_key in {{ with_variants(keys if keys else keys_of(item_ids)) }}
    {% else %}
        select
            {{ asked_item("item_key", keys if keys else keys_of(item_ids)) }} as asked_key,
            other_item_key,
            {{ buyable("other_item_key") }} as shown_key,
            sum(baskets) as times,
            sum(weight * {{ decay("month", reference_day, half_life_days) }}) / {{ weight_unit }} as strength,
            sum(strength) over (partition by asked_key)
            / sum(times) over (partition by asked_key) as basket_strength
        from co_baskets
        where item_key in {{ with_variants(keys if keys else keys_of(item_ids)) }}
        group by asked_key, other_item_key
        having times > 0
    {% endif %}
{%- endmacro -%}
{#- The factor that makes a strength that of today. -#}
{%- macro since_reference(now) -%} {{ decay(reference_day, now, half_life_days) }} {%- endmacro -%}
{#- The items of baskets, rows of item_id, item_keys and item_key: the text of a basket (a parameter that is `@together`), the keys of
    its items, and one of them. -#}
{%- macro items_of_baskets(baskets) -%}
    select
        arrayJoin({{ baskets }}) as item_id,
        arrayDistinct(arrayMap(one -> cityHash64(one), splitByChar('\0', item_id))) as item_keys,
        arrayJoin(item_keys) as item_key
{%- endmacro -%}
{#- The keys of all their items. -#}
{%- macro keys_of_baskets(baskets) -%}
    (select cityHash64(arrayJoin(splitByChar('\0', arrayJoin({{ baskets }})))) as asked_key)
{%- endmacro -%}
