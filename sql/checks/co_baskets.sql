-- Pairs whose number of orders, or its weight, is not what the events say.
{% from 'macros/pairs.sql' import wrong_pairs with context %}
{{ wrong_pairs(
    'co_baskets',
    'baskets',
    'cityHash64(user_id, order_id)',
    "event_type = 'purchase' and order_id != ''",
    100,
    'round(1e6 / sqrt(greatest(argMin(order_size, seq), 2)))',
    'weight'
) }}
