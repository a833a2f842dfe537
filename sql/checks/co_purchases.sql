-- Pairs of items by buyer.
{% from 'macros/pairs.sql' import pairs with context %}
{{ pairs('buyers', 'buyer_items', 'buyer_key', 'cityHash64(user_id)', "event_type = 'purchase'", 20) }}
