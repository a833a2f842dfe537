-- Which version of the weights is in service: the time it was learned, in milliseconds since 1970; 0 for weights that are older than
-- this column. ranker_versions keeps the versions, so that `alsobought learn ranker --roll-back` returns to the one before.
alter table {{ database }}.ranker_weights
    add column version UInt64 after bought
