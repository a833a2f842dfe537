{#- The keys of a list of item ids, for `item_key in …`. A sub-query, since an array would not use the index of the table. -#}
{%- macro keys_of(item_ids) -%} (select cityHash64(arrayJoin({{ item_ids }}))) {%- endmacro -%}
{#- An attribute of an item: item_id, title, category, brand, price … Empty for an unknown item. A look-up in memory, no join. -#}
{%- macro item(attribute, item_key) -%}
    dictGet('catalogue', '{{ attribute }}', {{ item_key }})
{%- endmacro -%}
{#- The first columns of an answer: item_id, title and category of an item. `id`: another name for item_id. -#}
{%- macro item_columns(item_key, id="item_id") -%}
    {{ item("item_id", item_key) }} as {{ id }},
    {{ item("title", item_key) }} as title,
    {{ item("category", item_key) }} as category
{%- endmacro -%}
{#- The first columns of an answer about pairs: the item_id asked about, then other_item_id, title and category of its companion. -#}
{%- macro pair_columns(item_key, other_item_key) -%}
    {{ item("item_id", item_key) }} as item_id, {{ item_columns(other_item_key, id="other_item_id") }}
{%- endmacro -%}
{#- Whether a path is `above` or below it: Kitchen holds Kitchen/Tea, Finland holds Finland/Helsinki. -#}
{%- macro within(path, above) -%}
    ({{ path }} = {{ above }} or startsWith({{ path }}, concat({{ above }}, '/')))
{%- endmacro -%}
{#- A category as the catalogue writes it: `Kitchen > Tea` and `Kitchen | Tea` are Kitchen/Tea. -#}
{%- macro category_path(category) -%}
    arrayStringConcat(
        arrayFilter(
            level -> level != '', arrayMap(level -> trimBoth(level), splitByRegexp('[>|/]', {{ category }}))
        ),
        '/'
    )
{%- endmacro -%}
{#- Whether an item is in a category or below it. -#}
{%- macro in_category(item_key, category) -%}
    {{ within(item("category", item_key), category_path(category)) }}
{%- endmacro -%}
{#- The user who offers an item: `owner` is the user_id, empty for the shop's own; `owner_key` is its cityHash64, or 0, and
    quicker to compare. -#}
{%- macro owner(attribute, item_key) -%} dictGet('owners', '{{ attribute }}', {{ item_key }}) {%- endmacro -%}
{#- Whether an item can be bought now. Items that are not in the catalogue can, unless ALSOBOUGHT_CATALOGUE_ONLY is set. -#}
{%- macro available(item_key) -%}
    dictGetOrDefault('catalogue', 'available', {{ item_key }}, true)
    {% if catalogue_only %} and dictGet('catalogue', 'catalogued', {{ item_key }}) {% endif %}
{%- endmacro -%}
