-- The candidates of these items with their features as of a midnight, by the macros that serve (sql/macros/ranker.sql), with pairs
-- as they were then.
{% from 'ranker.sql' import pair_features, pairs_before %}
{%- macro keys() -%} (select arrayJoin({keys:Array(UInt64)})) {%- endmacro -%}
{%- macro as_of() -%} toDateTime({as_of:UInt32}, 'UTC') {%- endmacro -%}
{{ pair_features(keys(), as_of(), of, pairs_before(keys(), as_of(), of)) }}
order by item_key, decayed desc, other_item_key
