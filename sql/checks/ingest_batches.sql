-- Batches whose ledger does not say what the events say.
select batch, groupUniqArray(facts) as versions, groupUniqArray(side) as sides
from (
    select batch, 'table' as side, (source, partition, first_offset, last_offset, events) as facts
    from {{ database }}.ingest_batches final
    union all
    select batch, 'events' as side, (source, partition, min(offset), max(offset), count()) as facts
    from {{ database }}.events
    group by batch, source, partition
)
group by batch
having length(versions) != 1 or length(sides) != 2
