-- A fixed sample of the items that have a vector.
select item_key
from {{ table }}
order by cityHash64(item_key, 'some')
limit {most:UInt32}
