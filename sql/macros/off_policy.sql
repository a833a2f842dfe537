{%- from 'attribution.sql' import touched_lists -%}
{#- What other lists would have earned, from lists that explored. The formulas are in app/alsobought/off_policy/estimators.py and
    docs/how-to/off-policy.md. -#}
{#- Weights are clipped here, as there. -#}
{%- set max_weight = 100 -%}
{#- The probability that a reader of a list goes on to the next item. -#}
{%- set persistence = 0.9 -%}
{#- Of a recorded list the ranks of the items that the pipe itself listed, from 1: those of a fallback have a propensity in the fallback's
    own list. Only lists with a fallback have sources that are pipes. Of an interleaved list nobody knows the propensities. -#}
{%- macro own_ranks() -%}
    arrayFilter(
        nth -> fallback = ''
        and variant != 'interleaved'
        and (not has(sources, toString(pipe)) or sources[nth] = toString(pipe)),
        arrayEnumerate(item_ids)
    )
{%- endmacro -%}
{#- The lists that were shown in a period, one row each, with what was touched: those of touched_lists, those of `requests`, and
    own_ranks; is_explored: chance decided at one of them at least; draw_key: lists with the same one share their random choices. -#}
{%- macro touched_requests(since, until) -%}
    (
        select
            *,
            {{ own_ranks() }} as own_ranks,
            length(propensities) = length(item_ids)
            and arrayExists(nth -> propensities[nth] < 1, own_ranks) as is_explored,
            cityHash64(pipe, parameters, toStartOfHour(time)) as draw_key
        from
            (
                select
                    time,
                    request_id,
                    recommendation_id,
                    pipe,
                    version,
                    surface,
                    variant,
                    parameters,
                    fallback,
                    item_ids,
                    propensities,
                    sources,
                    cityHash64(recommendation_id) as recorded_key
                from requests
                where
                    recommendation_id != ''
                    and shadow_of = ''
                    and time >= {{ since }} - toIntervalHour(1)
                    and time < {{ until }}
                order by recommendation_id, time
                limit 1 by recommendation_id
            ) as recorded
        inner join {{ touched_lists(since, until) }} as touched on list_key = recorded_key
    )
{%- endmacro -%}
{#- Lists that were shown in a period with that of a shadow, one row each: surface, pipe, shadow (its pipe), shown_id (a request_id),
    failed (the shadow did), by_chance (the shadow explored), and of both the list (ids of items) and the seconds. -#}
{%- macro shadow_pairs(since, until) -%}
    (
        select
            surface,
            shown.pipe as pipe,
            beside.pipe as shadow,
            request_id as shown_id,
            shown.item_ids as shown_list,
            beside.item_ids as shadow_list,
            shown.seconds as shown_seconds,
            beside.seconds as shadow_seconds,
            status != 200 as failed,
            arrayExists(propensity -> propensity < 1, propensities) as by_chance
        from
            (
                select surface, pipe, request_id, item_ids, seconds
                from requests
                where shadow_of = '' and surface != '' and time >= {{ since }} and time < {{ until }}
            ) as shown
        inner join
            (
                select surface, pipe, shadow_of, item_ids, seconds, status, propensities
                from requests
                where shadow_of != '' and time >= {{ since }} and time < {{ until }} + toIntervalHour(1)
            ) as beside
            on beside.shadow_of = shown.request_id
            and beside.surface = shown.surface
    )
{%- endmacro -%}
{#- The pairs of which something of the shown list was touched, with its columns and: clicked_at and shadow_at, the ranks of the clicked
    items in both lists (0: the shadow lists it nowhere). `pairs`: a CTE. -#}
{%- macro touched_pairs(pairs, since, until) -%}
    (
        select
            *,
            arrayFilter(
                nth -> has(clicked_items, cityHash64(shown_list[nth])), arrayEnumerate(shown_list)
            ) as clicked_at,
            arrayMap(nth -> indexOf(shadow_list, shown_list[nth]), clicked_at) as shadow_at
        from (select * from {{ touched_requests(since, until) }}) as answered
        inner join
            {{ pairs }} as paired
            on paired.shown_id = answered.request_id
            and paired.surface = answered.surface
    )
{%- endmacro -%}
{#- Jaccard's overlap of two lists of distinct items, as app/alsobought/pipe_diff/overlap.py has it. -#}
{%- macro jaccard(one, other) -%}
    if(
        empty({{ one }}) and empty({{ other }}),
        1.,
        length(arrayIntersect({{ one }}, {{ other }}))
        / length(arrayDistinct(arrayConcat({{ one }}, {{ other }})))
    )
{%- endmacro -%}
{#- The agreement of two rankings down to each rank, the top counting most: rank-biased overlap, as there. -#}
{%- macro rank_biased_overlap(one, other) -%}
    if(
        empty({{ one }}) and empty({{ other }}),
        1.,
        arraySum(
            depth
            -> pow({{ persistence }}, depth - 1)
            * length(arrayIntersect(arraySlice({{ one }}, 1, depth), arraySlice({{ other }}, 1, depth)))
            / depth,
            range(1, greatest(length({{ one }}), length({{ other }})) + 1)
        ) / arraySum(
            depth -> pow({{ persistence }}, depth - 1),
            range(1, greatest(length({{ one }}), length({{ other }})) + 1)
        )
    )
{%- endmacro -%}
{#- The 97.5th percentile of Student's t: the expansion of Cornish and Fisher (M. Abramowitz and I. Stegun, 26.7.5), within 1 % from four
    degrees of freedom on. -#}
{%- macro student(freedom) -%}
    (1.959964 + 2.372271 / {{ freedom }} + 2.822495 / pow({{ freedom }}, 2))
{%- endmacro -%}
