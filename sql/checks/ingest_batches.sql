-- Batches of which the ledger does not say, partition by partition, what the events say.
select batch, source, partition, groupUniqArray(facts) as versions, groupUniqArray(side) as sides
from (
    select batch, source, partition, 'table' as side, (first_offset, last_offset, events) as facts
    from {{ database }}.ingest_batches final
    union all
    select batch, source, partition, 'events' as side, (min(offset), max(offset), count()) as facts
    from {{ database }}.events
    group by batch, source, partition
)
group by batch, source, partition
having length(versions) != 1 or length(sides) != 2
