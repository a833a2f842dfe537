-- For each list: its recommendation_id, and what made it. unit is whom the variant of an experiment was drawn for, a user_id or a
-- session_id. propensities, scores and sources (pipes) are those of the items, in order; empty where a pipe has no such column.
-- shadow_of is the request_id of the answer that was shown instead of this one, which nobody saw.
alter table {{ database }}.requests
    add column recommendation_id String after request_id,
    add column surface LowCardinality(String) after version,
    add column experiment LowCardinality(String) after surface,
    add column variant LowCardinality(String) after experiment,
    add column unit String after variant,
    add column shadow_of String after unit,
    add column propensities Array(Float32) after item_ids,
    add column scores Array(Float32) after propensities,
    add column sources Array(LowCardinality(String)) after scores,
    add index by_recommendation_id recommendation_id type bloom_filter(0.001) granularity 4,
    add index by_request_id request_id type bloom_filter(0.001) granularity 4
