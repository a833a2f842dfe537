-- Pairs whose number of sessions is not what the events say.
{% from 'macros/pairs.sql' import wrong_pairs with context %}
{{ wrong_pairs(
    'co_views', 'sessions', 'cityHash64(user_id, session_id)', "event_type = 'view' and session_id != ''", 20
) }}
