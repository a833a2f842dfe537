-- Each order, buyer and session of an item, and of all items (item_key 0), in the month of its first line.
{% from 'macros/members.sql' import members with context %}
{% set groups = {
    'orders': ('user_id, order_id', "event_type = 'purchase' and order_id != ''", 'order_items', 'order_key'),
    'buyers': ('user_id', "event_type = 'purchase'", 'buyer_items', 'buyer_key'),
    'sessions': ('user_id, session_id', "event_type = 'view' and session_id != ''", 'session_items', 'session_key'),
} %}
{% for kind, group in groups.items() %}
select
    item_key,
    toStartOfMonth(toDate(timestamp)) as month,
    {% for column in groups %}{{ 1 if column == kind else 0 }} as {{ column }}{{ ", " if not loop.last }}{% endfor %}
from (
{{ members(*group) }}
)
{% if not loop.last %} union all {% endif %}
{% endfor %}
