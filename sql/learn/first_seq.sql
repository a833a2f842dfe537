-- The seq of the first event on or after a day; without one, the seq after the newest event.
select if(countIf(timestamp >= {since:DateTime}) > 0, minIf(seq, timestamp >= {since:DateTime}), max(seq) + 1) as seq
from {{ database }}.events
