-- How many people bought both items, both ways round, by the month of the later first purchase of the two.
-- A person's items are ranked by first purchase; a pair counts once per person if the ranks are at most 20 apart.
-- Signed sums that merge in the background: read with sum(buyers) ... group by, and having above 0.
create table {{ database }}.co_purchases (
    item_key UInt64,
    other_item_key UInt64,
    month Date,
    buyers Int64
)
engine = {{ engine('SummingMergeTree', '(buyers)') }}
order by (item_key, other_item_key, month)
settings {{ window }}
