{#- Items of groups whose first line is not where the events have it, of a history: table, its key, what makes the key, of which events. -#}
{%- macro wrong_firsts(table, key, group_key, events) -%}
select {{ key }}, item_key, groupUniqArray(first_line) as versions, groupUniqArray(side) as sides
from (
    select {{ key }}, item_key, 'table' as side, min(first_seq) as first_line
    from {{ database }}.{{ table }}
    group by {{ key }}, item_key
    union all
    select {{ group_key }} as {{ key }}, cityHash64(item_id) as item_key, 'events' as side, min(seq) as first_line
    from {{ database }}.events
    where {{ events }}
    group by {{ key }}, item_key
)
group by {{ key }}, item_key
having length(versions) != 1 or length(sides) != 2
{%- endmacro -%}
