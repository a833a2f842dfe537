{#- Each item of a group, and item_key 0 for all of them, with the time of its first line: rows of item_key, timestamp.
    group_columns: what makes a group, of which events; history, its key: where members from before `since` are. -#}
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
