-- Items of buyers whose first purchase is not where the events have it.
{% from 'macros/firsts.sql' import wrong_firsts with context %}
{{ wrong_firsts('buyer_items', 'buyer_key', 'cityHash64(user_id)', "event_type = 'purchase'") }}
