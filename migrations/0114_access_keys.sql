-- Keys of the HTTP service: of each the SHA-256 only. Rows of a key add up, so that none undoes another: the earliest expiry counts,
-- the latest use, and a revocation for ever. Read it with GROUP BY key_id, with max or min as each column has it.
create table {{ database }}.access_keys (
    key_id String,
    hash SimpleAggregateFunction(max, String),
    kind SimpleAggregateFunction(max, String),
    name SimpleAggregateFunction(max, String),
    scopes SimpleAggregateFunction(max, String),
    origins SimpleAggregateFunction(max, String),
    rate SimpleAggregateFunction(max, String),
    created_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    used_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    expires_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')) default toDateTime64('2200-01-01 00:00:00', 3, 'UTC'),
    revoked_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
engine = {{ engine('AggregatingMergeTree') }}
order by key_id
