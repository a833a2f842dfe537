-- Pairs of items by order.
{% from 'macros/pairs.sql' import pairs with context %}
{{ pairs(
    'baskets',
    'order_items',
    'order_key',
    'cityHash64(user_id, order_id)',
    "event_type = 'purchase' and order_id != ''",
    100,
    'round(1e6 / sqrt(greatest(argMin(order_size, seq), 2)))'
) }}
