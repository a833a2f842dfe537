-- The seq of the newest event, and the number of events.
select max(seq) as seq, count() as events
from {{ database }}.events
