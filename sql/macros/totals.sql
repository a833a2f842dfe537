{#- item_totals and daily_popularity have a row for each item, and one for all items together under item_key 0. -#}
{#- Whether a row is about one item. -#}
{%- macro is_item(item_key) -%} {{ item_key }} != 0 {%- endmacro -%}
{#- Whether a row is about all items together. -#}
{%- macro is_all_items(item_key) -%} {{ item_key }} = 0 {%- endmacro -%}
{#- The key of that row. -#}
{%- macro all_items_key() -%} toUInt64(0) {%- endmacro -%}
{#- How many orders there are. -#}
{%- macro total_orders() -%}
    assumeNotNull((select sum(orders) from item_totals where {{ is_all_items("item_key") }}))
{%- endmacro -%}
{#- How many sessions have a view. -#}
{%- macro total_sessions() -%}
    assumeNotNull((select sum(sessions) from item_totals where {{ is_all_items("item_key") }}))
{%- endmacro -%}
