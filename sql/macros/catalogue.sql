{#- The keys of a list of item ids, for `item_key in ...`: as a sub-query the index of the table is used, as an array it is not. -#}
{%- macro keys_of(item_ids) -%} (select cityHash64(arrayJoin({{ item_ids }}))) {%- endmacro -%}
{#- What the catalogue knows of an item, by its key: title, category, price … Next to free; empty for an unknown item. -#}
{%- macro item(attribute, item_key) -%}
    dictGet('catalogue', '{{ attribute }}', {{ item_key }})
{%- endmacro -%}
{#- Whether a path is this one or lies below it: Kitchen holds Kitchen/Tea, Finland holds Finland/Helsinki. -#}
{%- macro within(path, above) -%}
    ({{ path }} = {{ above }} or startsWith({{ path }}, concat({{ above }}, '/')))
{%- endmacro -%}
{#- Whether an item's category is this one or lies below it. -#}
{%- macro in_category(item_key, category) -%}
    {{ within(item("category", item_key), category) }}
{%- endmacro -%}
{#- Whose offer an item is: owner, a user_id, empty for the shop's own; or owner_key, quicker to compare: cityHash64 of it, or 0. -#}
{%- macro owner(attribute, item_key) -%} dictGet('owners', '{{ attribute }}', {{ item_key }}) {%- endmacro -%}
{#- Whether an item can be bought now. An item that the catalogue does not know can. -#}
{%- macro available(item_key) -%}
    dictGetOrDefault('catalogue', 'available', {{ item_key }}, true)
{%- endmacro -%}
