-- Variants of experiments that a guardrail stopped, and that somebody resumed: a row for each of the two, of which the newest counts.
-- A few rows in the life of a shop; processes that serve read them every two seconds.
create table {{ database }}.experiment_stops (
    experiment String,
    variant String,
    at DateTime64(3, 'UTC'),
    is_stopped Bool,
    reason String
)
engine = {{ engine('MergeTree') }}
order by (experiment, variant, at)
