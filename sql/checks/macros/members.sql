{#- Each item of a group, and item_key 0 for all items, with the time of its first line: rows of item_key, timestamp.
    group_columns: the key of a group, of the given events; history, its key: the table with members from before `since`. -#}
{%- macro members(group_columns, events, history, history_key) -%}
select item_key, timestamp
from (
    select arrayJoin([cityHash64(item_id), 0]) as item_key, timestamp, seq, {{ group_columns }}
    from {{ database }}.events
    where {{ events }}
)
where {{ picks("item_key") }}
{% if since %}
    and (cityHash64({{ group_columns }}), item_key) not in (
        select {{ history_key }}, arrayJoin([item_key, 0]) from {{ database }}.{{ history }} where first_seq < {{ since }}
    )
{% endif %}
order by seq
limit 1 by item_key, {{ group_columns }}
{%- endmacro -%}
