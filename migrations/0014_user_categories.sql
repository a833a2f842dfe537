-- How often each user did what in each category: the taste of a user.
-- Signed sums that merge in the background: read with sum(events) ... group by.
create table {{ database }}.user_categories (
    user_id String,
    category String,
    event_type LowCardinality(String),
    events Int64
)
engine = {{ engine('SummingMergeTree', '(events)') }}
order by (user_id, category, event_type)
settings {{ window }}
