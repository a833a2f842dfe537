-- Some of the items that have a vector, the same each time.
select item_key
from {{ table }}
order by cityHash64(item_key, 'some')
limit {most:UInt32}
