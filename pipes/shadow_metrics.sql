-- Shadows beside what was shown: errors, empty lists, overlap and latency of both, and at which rank the
-- shadow had the items that were clicked. docs/how-to/measure.md defines every column.
--
-- :since    DateTime?               beginning; by default seven days before the request
-- :until    DateTime?               end, not included; by default the time of the request
-- :surface  String? (1..256)        only this surface
-- :limit    UInt16 = 100 (1..1000)  number of rows
--
-- @private
-- @cache 5s
{% from 'attribution.sql' import begin, end %}
{% from 'intervals.sql' import ratio %}
{% from 'off_policy.sql' import jaccard, rank_biased_overlap, shadow_pairs, touched_pairs %}
with
    pairs as (
        select *
        from {{ shadow_pairs(begin(since), end(until)) }}
        {% if surface %} where surface = {{ surface }} {% endif %}
    ),
    clicks as (
        select
            surface,
            pipe,
            shadow,
            sum(length(clicked_at)) as clicked,
            sum(arrayCount(rank -> rank > 0, shadow_at)) as listed,
            sum(arrayCount((rank, shown) -> rank > 0 and rank < shown, shadow_at, clicked_at)) as raised,
            sum(arrayCount((rank, shown) -> rank > shown, shadow_at, clicked_at)) as lowered,
            sum(
                arraySum(arrayMap((rank, shown) -> if(rank > 0, shown, 0), shadow_at, clicked_at))
            ) as shown_ranks,
            sum(arraySum(shadow_at)) as shadow_ranks
        from {{ touched_pairs("pairs", begin(since), end(until)) }}
        where not failed
        group by surface, pipe, shadow
    ),
    compared as (
        select
            surface,
            pipe,
            shadow,
            concat(surface, ' ', pipe, ' ', shadow) as shadow_key,
            count() as requests,
            countIf(failed) as errors,
            countIf(not failed) as both,
            countIf(empty(shown_list) and not failed) as shown_empty,
            countIf(empty(shadow_list) and not failed) as shadow_empty,
            sumIf({{ jaccard("shown_list", "shadow_list") }}, not failed) as jaccards,
            sumIf({{ rank_biased_overlap("shown_list", "shadow_list") }}, not failed) as rank_biased,
            quantilesExact(0.5, 0.95)
            (shown_seconds) as seconds,
            quantilesExact(0.5, 0.95)
            (shadow_seconds) as shadow_seconds
        from pairs
        group by surface, pipe, shadow
    )
select
    surface,
    pipe,
    shadow,
    requests as pairs,
    errors,
    round({{ ratio("rank_biased", "both") }}, 4) as overlap,
    round({{ ratio("jaccards", "both") }}, 4) as jaccard,
    round({{ ratio("shown_empty", "both") }}, 6) as empty,
    round({{ ratio("compared.shadow_empty", "both") }}, 6) as shadow_empty,
    round(1000 * seconds[1], 2) as median_ms,
    round(1000 * compared.shadow_seconds[1], 2) as shadow_median_ms,
    round(1000 * seconds[2], 2) as p95_ms,
    round(1000 * compared.shadow_seconds[2], 2) as shadow_p95_ms,
    clicked as clicks,
    listed as clicks_listed,
    raised as clicks_higher,
    lowered as clicks_lower,
    round({{ ratio("shown_ranks", "listed") }}, 2) as click_rank,
    round({{ ratio("shadow_ranks", "listed") }}, 2) as shadow_click_rank
from compared
left join clicks using (surface, pipe, shadow)
order by pairs desc, shadow_key
limit {{ limit }}
