-- The seq of the first event of a day, or later; that of the newest one and one more, where there is none.
select if(countIf(timestamp >= {since:DateTime}) > 0, minIf(seq, timestamp >= {since:DateTime}), max(seq) + 1) as seq
from {{ database }}.events
