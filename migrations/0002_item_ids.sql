-- Turns the key of an item, cityHash64 of its id, back into the id; catalogued or not.
-- May hold a key several times until parts merge: read it with any(item_id) ... group by item_key.
create table {{ database }}.item_ids (
    item_key UInt64,
    item_id String
)
engine = {{ engine('ReplacingMergeTree') }}
order by item_key
settings {{ window }}
