-- The candidates of these items with their features as of a time: the same text that answers (sql/macros/ranker.sql).
{% from 'ranker.sql' import pair_features %}
{{ pair_features("(select arrayJoin({keys:Array(UInt64)}))", "toDateTime({as_of:UInt32}, 'UTC')", of) }}
order by item_key, decayed desc, other_item_key
