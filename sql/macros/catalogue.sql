{#- The keys of a list of item ids, for `item_key in …`. A sub-query, since an array would not use the index of the table. -#}
{%- macro keys_of(item_ids) -%} (select cityHash64(arrayJoin({{ item_ids }})) as asked_key) {%- endmacro -%}
{#- An attribute of an item: item_id, title, category, brand, price … Empty for an unknown item. A look-up in memory, no join. -#}
{%- macro item(attribute, item_key) -%}
    dictGet('catalogue', '{{ attribute }}', {{ item_key }})
{%- endmacro -%}
{#- The title of an item in a language, such as de-AT: of de-AT that in de-AT, else in de, else the title that has no language. -#}
{%- macro title_in(language, item_key) -%}
    {% if language %}
        dictGetOrDefault(
            'titles',
            'title',
            ({{ item_key }}, {{ language }}),
            dictGetOrDefault(
                'titles',
                'title',
                ({{ item_key }}, splitByChar('-', {{ language }})[1]),
                {{ item("title", item_key) }}
            )
        )
    {% else %} {{ item("title", item_key) }}
    {% endif %}
{%- endmacro -%}
{#- The first columns of an answer: what a shelf shows of an item. `id`: another name for item_id; `language`: that of the title
    (sql/parameters/language.sql). -#}
{%- macro item_columns(item_key, id="item_id", language="") -%}
    {{ item("item_id", item_key) }} as {{ id }},
    {{ title_in(language, item_key) }} as title,
    {{ item("category", item_key) }} as category,
    {{ item("price", item_key) }} as price,
    {{ item("currency", item_key) }} as currency,
    {{ item("url", item_key) }} as url,
    {{ item("image", item_key) }} as image
{%- endmacro -%}
{#- The currency of most items: a limit of prices is in it. -#}
{%- macro main_currency() -%}
    (
        select argMax(priced_in, (times, priced_in))
        from
            (
                select toString(currency) as priced_in, count() as times
                from items
                where price > 0
                group by priced_in
            )
    )
{%- endmacro -%}
{#- Whether the price of an item can be compared with a limit: it is in this currency, or else in that of most items. -#}
{%- macro in_currency(item_key, currency="") -%}
    {{ item("currency", item_key) }} = {% if currency %} upper({{ currency }})
    {% else %} {{ main_currency() }}
    {% endif %}
{%- endmacro -%}
{#- The first columns of an answer about pairs: the item_id asked about, then what a shelf shows of its companion. -#}
{%- macro pair_columns(item_key, other_item_key, language="") -%}
    {{ item("item_id", item_key) }} as item_id,
    {{ item_columns(other_item_key, id="other_item_id", language=language) }}
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
{#- The key of the group of variants that an item is in, such as the sizes of a shirt; its own key if it is in none. -#}
{%- macro group_of(item_key) -%}
    {% if has_variants %} dictGetOrDefault('catalogue', 'group_key', {{ item_key }}, {{ item_key }})
    {% else %} {{ item_key }}
    {% endif %}
{%- endmacro -%}
{#- Whether an item is neither another item nor a variant of it. -#}
{%- macro is_other_product(item_key, of_item_key) -%}
    {% if has_variants %} {{ group_of(item_key) }} != {{ group_of(of_item_key) }} {% else %} true {% endif %}
{%- endmacro -%}
{#- The groups of a list of item ids, for `group_of(…) in …`. -#}
{%- macro groups_of(item_ids) -%}
    {% if has_variants %}
        (select {{ group_of("listed") }} from (select cityHash64(arrayJoin({{ item_ids }})) as listed))
    {% else %} {{ keys_of(item_ids) }}
    {% endif %}
{%- endmacro -%}
{#- The keys of `keys` (a sub-query of asked_key) and of their variants, for `item_key in …`. -#}
{%- macro with_variants(keys) -%}
    {% if has_variants %}
        (
            select
                arrayJoin(
                    arrayPushBack(dictGet('variants', 'item_keys', {{ group_of("asked_key") }}), asked_key)
                )
            from {{ keys }}
        )
    {% else %} {{ keys }}
    {% endif %}
{%- endmacro -%}
{#- What of `keys` an item was read for: a row for each of them that it is, or is a variant of. -#}
{%- macro asked_item(item_key, keys) -%}
    {% if has_variants %}
        arrayJoin(
            arrayFilter(
                asked -> {{ group_of("asked") }} = {{ group_of(item_key) }},
                (select groupUniqArray(asked_key) from {{ keys }})
            )
        )
    {% else %} {{ item_key }}
    {% endif %}
{%- endmacro -%}
{#- The groups of an array of item keys. -#}
{%- macro groups_in(item_keys) -%}
    {% if has_variants %} arrayMap(one -> {{ group_of("one") }}, {{ item_keys }})
    {% else %} {{ item_keys }}
    {% endif %}
{%- endmacro -%}
{#- The key of an item and those of its variants, for `item_key in …`. -#}
{%- macro keys_of_variants(item_id) -%}
    {% if has_variants %}
        (
            select
                arrayJoin(arrayPushBack(dictGet('variants', 'item_keys', {{ group_of("own_key") }}), own_key))
            from (select cityHash64({{ item_id }}) as own_key)
        )
    {% else %} (cityHash64({{ item_id }}))
    {% endif %}
{%- endmacro -%}
{#- A sum over an item and its variants, in place of the item's own value; once for each value of `by`. -#}
{%- macro sum_of_group(value, item_key, by="") -%}
    {% if has_variants %}
        sum({{ value }}) over (partition by {% if by %} {{ by }}, {% endif %} {{ group_of(item_key) }})
    {% else %} {{ value }}
    {% endif %}
{%- endmacro -%}
{#- The strongest item of a group, where rows are grouped by `group_of`. -#}
{%- macro strongest_of_group(item_key, strength) -%}
    {% if has_variants %} argMax({{ item_key }}, ({{ strength }}, {{ item_key }}))
    {% else %} {{ item_key }}
    {% endif %}
{%- endmacro -%}
{#- An item, or if it cannot be bought now, the first of its variants that can. -#}
{%- macro buyable(item_key) -%}
    {% if has_variants %}
        if(
            {{ available(item_key) }},
            {{ item_key }},
            arrayConcat(
                arrayFilter(
                    variant -> {{ available("variant") }},
                    dictGet('variants', 'item_keys', {{ group_of(item_key) }})
                ),
                [{{ item_key }}]
            )[1]
        )
    {% else %} {{ item_key }}
    {% endif %}
{%- endmacro -%}
{#- The user who offers an item: `owner` is the user_id, empty for the shop's own; `owner_key` is its cityHash64, or 0, and
    quicker to compare. -#}
{%- macro owner(attribute, item_key) -%} dictGet('owners', '{{ attribute }}', {{ item_key }}) {%- endmacro -%}
{#- Whether an item can be bought now. One that only events name can, unless ALSOBOUGHT_CATALOGUE_ONLY is set; not before its id is
    in memory, half a second after its first event at most. -#}
{%- macro available(item_key) -%}
    dictGetOrDefault('catalogue', 'available', {{ item_key }}, false)
    {% if catalogue_only %} and dictGet('catalogue', 'catalogued', {{ item_key }}) {% endif %}
{%- endmacro -%}
