-- Items whose number of orders, buyers or sessions in a month is not what the events say.
{% set groups = {
    'orders': ('user_id, order_id', "event_type = 'purchase' and order_id != ''"),
    'buyers': ('user_id', "event_type = 'purchase'"),
    'sessions': ('user_id, session_id', "event_type = 'view' and session_id != ''"),
} %}
select item_key, month, kind, sum(counted) as difference
from (
{% for kind, (group_columns, condition) in groups.items() %}
    select item_key, month, '{{ kind }}' as kind, {{ kind }} as counted
    from {{ database }}.item_totals
    union all
    select item_key, toStartOfMonth(toDate(timestamp)) as month, '{{ kind }}' as kind, toInt64(-1) as counted
    from (
        select arrayJoin([cityHash64(item_id), 0]) as item_key, timestamp
        from {{ database }}.events
        where {{ condition }}
        order by seq
        limit 1 by item_key, {{ group_columns }}
    )
    {% if not loop.last %} union all {% endif %}
{% endfor %}
)
group by item_key, month, kind
having difference != 0
