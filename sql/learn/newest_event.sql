-- The seq of the newest event, and how many there are.
select max(seq) as seq, count() as events
from {{ database }}.events
