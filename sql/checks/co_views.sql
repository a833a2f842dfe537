-- Pairs of items by session.
{% from 'macros/pairs.sql' import pairs with context %}
{{ pairs(
    'sessions',
    'session_items',
    'session_key',
    'cityHash64(user_id, session_id)',
    "event_type = 'view' and session_id != ''",
    20
) }}
