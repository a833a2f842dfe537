-- The totals of the count tables, and the totals that they must have: quick, so that a running service can run it regularly.
-- `alsobought check` compares row by row. One line for each table of which every event is a part, but for refunds.
select name, found, if(name = 'ingest_batches', all_events, all_events - refunds) as expected
from (
    select 'user_items' as name, sum(events) as found from {{ database }}.user_items
    union all
    select 'item_hours' as name, sum(events) as found from {{ database }}.item_hours
    union all
    select 'user_categories' as name, sum(events) as found from {{ database }}.user_categories
    union all
    select 'daily_popularity' as name, sum(events) as found from {{ database }}.daily_popularity where item_key = 0
    union all
    select 'ingest_batches' as name, toInt64(sum(events)) as found from {{ database }}.ingest_batches final
) as sums
cross join (
    select toInt64(count()) as all_events, toInt64(countIf(event_type = 'refund')) as refunds from {{ database }}.events
) as base
where found != expected
order by name
