{#- The keys of a list of item ids, for `item_key in ...`: as a sub-query the index of the table is used, as an array it is not. -#}
{%- macro keys_of(item_ids) -%} (select cityHash64(arrayJoin({{ item_ids }}))) {%- endmacro -%}
{#- What the catalogue knows of an item, by its key: title, category, price … Next to free; empty for an unknown item. -#}
{%- macro item(attribute, item_key) -%}
    dictGet('catalogue', '{{ attribute }}', {{ item_key }})
{%- endmacro -%}
{#- Whether an item's category is this one or lies below it: Kitchen holds Kitchen/Tea. -#}
{%- macro in_category(item_key, category) -%}
    (
        {{ item("category", item_key) }} = {{ category }}
        or startsWith({{ item("category", item_key) }}, concat({{ category }}, '/'))
    )
{%- endmacro -%}
{#- Whose offer an item is: a user_id, or empty for the shop's own. -#}
{%- macro owner(item_key) -%} dictGet('owners', 'owner', {{ item_key }}) {%- endmacro -%}
{#- Whether an item can be bought now. An item that the catalogue does not know can. -#}
{%- macro available(item_key) -%}
    dictGetOrDefault('catalogue', 'available', {{ item_key }}, true)
{%- endmacro -%}
