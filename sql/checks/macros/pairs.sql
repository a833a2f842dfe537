{#- Pairs of items near each other in a group: rows of item_key, other_item_key, month, `counted` = 1, and the weight.
    Written differently from the views on purpose: ranks and neighbours by window functions.
    counted: the column of the table; history, its key: the table with members from before `since`; group_key: the key of a group,
    of the given events; reach: the maximum distance of two ranks; weight: the weight that the later line adds.
    For a small sample of items it reads only groups with one of them, and all rows of these, since ranks need whole groups. -#}
{%- macro pairs(counted, history, history_key, group_key, events, reach, weight="") -%}
with
    {% if since %}
    earlier as (
        select {{ history_key }} as group_key, item_key, min(first_seq) as first_line
        from {{ database }}.{{ history }}
        where first_seq < {{ since }}
        group by group_key, item_key
    ),
    {% endif %}
    lines as (
        select
            {{ group_key }} as group_key,
            cityHash64(item_id) as item_key,
            min(seq) as first_line,
            toStartOfMonth(toDate(argMin(timestamp, seq))) as line_month,
            {{ "toInt64(" ~ weight ~ ")" if weight else "0" }} as line_weight
        from {{ database }}.events
        where {{ events }}
        {% if few %}
            and group_key in (
                select {{ group_key }} from {{ database }}.events where {{ events }} and {{ picks("cityHash64(item_id)") }}
                {% if since %} union distinct select group_key from earlier where {{ picks("item_key") }} {% endif %}
            )
        {% endif %}
        {% if since %} and (group_key, item_key) not in (select group_key, item_key from earlier) {% endif %}
        group by group_key, item_key
        {% if since %}
        union all
        select group_key, item_key, first_line, toDate(0) as line_month, 0 as line_weight  -- no month that is compared
        from earlier
        {% endif %}
    ),
    ranked as (
        select *, row_number() over (partition by group_key order by first_line) as nth
        from lines
    ),
    beside as (
        select
            item_key,
            line_month,
            line_weight,
            least(nth, {{ reach + 1 }}) as own_place,
            groupArray(item_key) over near as near_items,
            groupArray(line_month) over near as near_months,
            {{ "groupArray(line_weight) over near" if weight else "near_months" }} as near_weights
        from ranked
        window near as (partition by group_key order by nth rows between {{ reach }} preceding and {{ reach }} following)
    )
select
    item_key,
    other_item_key,
    if(place < own_place, line_month, near_month) as month,
    1 as {{ counted }}
    {% if weight %}, if(place < own_place, line_weight, near_weight) as weight {% endif %}
from (select * from beside where {{ picks("item_key") }})
array join
    near_items as other_item_key, near_months as near_month, near_weights as near_weight, arrayEnumerate(near_items) as place
where place != own_place
{%- endmacro -%}
