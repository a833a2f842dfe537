{#- Pairs of a table that are not what the events say: rows of item_key, other_item_key, month and by how much.
    Written another way than the views, on purpose: ranks and neighbours by window functions.
    table, counted: what is checked, and its column; group_key: what makes a group, of which events; most: how far apart two ranks
    may be; weight: what the later line adds to the column weight. Items are split into shares to bound memory; a small shop has one. -#}
{%- macro wrong_pairs(table, counted, group_key, events, most, weight="0", summed="0") -%}
with
    ranked as (
        select
            {{ group_key }} as group_key,
            cityHash64(item_id) as item_key,
            row_number() over (partition by group_key order by min(seq)) as nth,
            toStartOfMonth(toDate(argMin(timestamp, seq))) as line_month,
            toInt64({{ weight }}) as line_weight
        from {{ database }}.events
        where {{ events }}
        group by group_key, item_key
    ),
    beside as (
        select
            item_key,
            nth,
            line_month,
            line_weight,
            groupArray((item_key, nth, line_month, line_weight)) over (
                partition by group_key order by nth rows between {{ most }} preceding and {{ most }} following
            ) as neighbours
        from ranked
    )
select *
from (
{% for share in range(shares) %}
    select item_key, other_item_key, month, sum(times) as difference, sum(total) as weight_difference
    from (
        select item_key, other_item_key, month, {{ counted }} as times, toInt64({{ summed }}) as total
        from {{ database }}.{{ table }}
        where item_key % {{ shares }} = {{ share }}
        union all
        select
            item_key,
            neighbour.1 as other_item_key,
            if(nth > neighbour.2, line_month, neighbour.3) as month,
            toInt64(-1) as times,
            -if(nth > neighbour.2, line_weight, neighbour.4) as total
        from beside
        array join neighbours as neighbour
        where item_key % {{ shares }} = {{ share }} and neighbour.2 != nth
    )
    group by item_key, other_item_key, month
    having difference != 0 or weight_difference != 0
    {% if not loop.last %} union all {% endif %}
{% endfor %}
)
{%- endmacro -%}
