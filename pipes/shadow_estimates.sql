-- The click-through rate that the list of a shadow would have had, where the shown lists explored: by
-- inverse propensity, self-normalised, with a 95 % interval. docs/how-to/off-policy.md defines every column.
--
-- :since    DateTime?               beginning; by default seven days before the request
-- :until    DateTime?               end, not included; by default the time of the request
-- :surface  String? (1..256)        only this surface
-- :limit    UInt16 = 100 (1..1000)  number of rows
--
-- @private
-- @cache 5s
{% from 'attribution.sql' import begin, end %}
{% from 'intervals.sql' import ratio, ratio_reach, z %}
{% from 'off_policy.sql' import max_weight, shadow_pairs, student, touched_pairs %}
with
    pairs as (
        select *
        from {{ shadow_pairs(begin(since), end(until)) }}
        where not failed and not by_chance {% if surface %} and surface = {{ surface }} {% endif %}
    ),
    {# The weight of an impression is 1 / propensity if the shadow has the same item at the same rank, else 0. #}
    lists as (
        select
            surface,
            pipe,
            shadow,
            first_user_key % 1000 as user_group,
            draw_key % 1000 as draw_group,
            arrayFilter(
                nth -> nth <= length(shadow_list) and has(shown_items, cityHash64(item_ids[nth])), own_ranks
            ) as ranks,
            arrayMap(
                nth -> if(item_ids[nth] = shadow_list[nth], 1 / toFloat64(propensities[nth]), 0.), ranks
            ) as full_weights,
            arrayMap(weight -> least({{ max_weight }}, weight), full_weights) as weights,
            arrayMap(nth -> toFloat64(has(clicked_items, cityHash64(item_ids[nth]))), ranks) as clicks
        from {{ touched_pairs("pairs", begin(since), end(until)) }}
        where is_explored
    ),
    clusters as (
        select
            surface,
            pipe,
            shadow,
            cluster .1 as kind,
            cluster .2 as cluster_key,
            sum(length(ranks)) as seen,
            sum(arraySum(clicks)) as clicked,
            sum(arraySum(full_weights)) as full_weight,
            sum(arraySum(weights)) as weight,
            sum(arraySum(arrayMap(one -> one * one, weights))) as squares,
            sum(arraySum(arrayMap((one, click) -> one * click, weights, clicks))) as weighted
        from lists
        array join
            [
                ('user', user_group), ('draw', draw_group), ('both', cityHash64(user_group, draw_group))
            ] as cluster
        where notEmpty(ranks)
        group by surface, pipe, shadow, kind, cluster_key
    ),
    {# Impressions of a user, and those of a draw, are not independent: the variance has both (docs/how-to/off-policy.md). #}
    reached as (
        select
            surface,
            pipe,
            shadow,
            kind,
            count() as groups,
            pow({{ ratio_reach("weighted", "weight") }} / {{ z }}, 2) as variance,
            sum(seen) as impressions,
            sum(clicked) as clicks,
            sum(full_weight) as full_weights,
            sum(weight) as weights,
            sum(squares) as all_squares,
            sum(weighted) as all_weighted
        from clusters
        group by surface, pipe, shadow, kind
    ),
    summed as (
        select
            surface,
            pipe,
            shadow,
            any(impressions) as all_seen,
            {{ ratio("any(clicks)", "all_seen") }} as observed,
            {{ ratio("any(full_weights)", "all_seen") }} as support,
            {{ ratio("pow(any(weights), 2)", "any(all_squares)") }} as effective,
            {{ ratio("any(all_weighted)", "any(weights)") }} as rate,
            minIf(groups, kind != 'both') as fewest,
            greatest(
                maxIf(variance, kind != 'both'),
                sumIf(variance, kind != 'both') - sumIf(variance, kind = 'both')
            ) as all_variance,
            if(fewest < 5 or effective = 0, 1., {{ student("(fewest - 1)") }} * sqrt(all_variance)) as reach
        from reached
        group by surface, pipe, shadow
    )
select
    surface,
    pipe,
    shadow,
    all_seen as impressions,
    round(least(1, support), 4) as supported,
    round(effective, 1) as effective_impressions,
    round(observed, 6) as click_through_rate,
    round(rate, 6) as shadow_click_through_rate,
    round(greatest(0, rate - reach), 6) as shadow_click_through_rate_low,
    round(least(1, rate + reach), 6) as shadow_click_through_rate_high
from summed
order by impressions desc, surface, pipe, shadow
limit {{ limit }}
