-- Lines of orders whose first purchase is not where the events have it.
{% from 'macros/firsts.sql' import wrong_firsts with context %}
{{ wrong_firsts(
    'order_items', 'order_key', 'cityHash64(user_id, order_id)', "event_type = 'purchase' and order_id != ''"
) }}
