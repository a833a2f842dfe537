-- The number of rows.
select count()
from {{ table }}
