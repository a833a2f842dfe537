{%- from 'catalogue.sql' import available, in_category, item, keys_of -%}
{#- What every list obeys: whether an item may stand in it. Only what can be bought now; nothing that is excluded, and
    what the filters of a request say; a filter that was not given, or is not passed, says nothing. -#}
{%- macro may_show(item_key, exclude="", category="", min_price="", max_price="", brand="") -%}
    (
        {{ available(item_key) }}
        {% if exclude %} and {{ item_key }} not in {{ keys_of(exclude) }} {% endif %}
        {% if category %} and {{ in_category(item_key, category) }} {% endif %}
        {% if min_price %} and {{ item("price", item_key) }} >= {{ min_price }} {% endif %}
        {% if max_price %} and {{ item("price", item_key) }} <= {{ max_price }} {% endif %}
        {% if brand %} and {{ item("brand", item_key) }} in {{ brand }} {% endif %}
    )
{%- endmacro -%}
{#- Whether an item is still to be offered to a person. leave_out says what is not: `bought`, what they bought or dislike;
    `seen`, also what they viewed, clicked or carted; `nothing`. -#}
{%- macro new_to(item_key, user_id, leave_out) -%}
    {{ item_key }} not in (
        select cityHash64(item_id)
        from user_items
        where
            user_id = {{ user_id }}
            and (
                ({{ leave_out }} != 'nothing' and event_type in ('purchase', 'dislike'))
                or ({{ leave_out }} = 'seen' and event_type in ('view', 'click', 'add_to_cart'))
            )
        group by item_id
        having sum(events) > 0
    )
{%- endmacro -%}
{#- The score of an item, as the shop's rules change it. -#}
{%- macro boosted(item_key, score) -%}({{ score }}) {%- endmacro -%}
