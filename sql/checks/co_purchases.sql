-- Pairs whose number of buyers is not what the events say.
{% from 'macros/pairs.sql' import wrong_pairs with context %}
{{ wrong_pairs('co_purchases', 'buyers', 'cityHash64(user_id)', "event_type = 'purchase'", 20) }}
