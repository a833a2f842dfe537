{#- The share of the orders of the last seven days that had an item, from 0 to 1. -#}
{%- macro share_of_week(item_key) -%}
    dictGetOrDefault('item_demand', 'week_orders', {{ item_key }}, 0)
    / greatest(1, dictGetOrDefault('item_demand', 'week_orders', toUInt64(0), 0))
{%- endmacro -%}
{#- How readily an item is bought again: the orders with it for each of its buyers, damped. 1 if nobody ever did. -#}
{%- macro times_bought_again(item_key) -%}
    pow(
        (dictGetOrDefault('item_demand', 'orders', {{ item_key }}, 0) + 2)
        / (dictGetOrDefault('item_demand', 'buyers', {{ item_key }}, 0) + 2),
        0.3
    )
{%- endmacro -%}
