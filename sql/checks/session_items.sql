-- Items of sessions whose first view is not where the events have it.
{% from 'macros/firsts.sql' import wrong_firsts with context %}
{{ wrong_firsts(
    'session_items', 'session_key', 'cityHash64(user_id, session_id)', "event_type = 'view' and session_id != ''"
) }}
