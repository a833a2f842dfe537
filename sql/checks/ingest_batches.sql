-- The batches of events, by partition.
select
    batch,
    epoch,
    source,
    partition,
    min(offset) as first_offset,
    max(offset) as last_offset,
    count() as events,
    max(ingested_at) as ingested_at
from {{ database }}.events
group by batch, epoch, source, partition
