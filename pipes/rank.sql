-- Candidates for a person (`candidates`) in the order that `alsobought learn ranker` learnt from what
-- people then bought, with the reason for each. Where nothing was learnt, those first that many sources
-- have high.
--
-- :user_id    String                 the person; a guest's session_id works too
-- :limit      UInt16 = 10 (1..600)   how many
-- :leave_out  String = nothing (nothing, bought, seen)  of what the person has: bought or disliked; seen:
-- also viewed, clicked, carted
-- :exclude    Array(String)?         leave out these items; repeat it
-- :category   String?                only products of this category, or below it
-- :brand      Array(String)?         only products of these brands
-- :min_price  Float64? (0..1e12)     only products that cost at least this
-- :max_price  Float64? (0..1e12)     only products that cost at most this
--
-- @cache 60s user_id
{% from 'candidates.sql' import person_features, person_values %}
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import boosted, counted, may_show, new_to %}
{% from 'ranker.sql' import learnt, learnt_score %}
with
    {{ learnt("rank") }} as weights_learnt,
    scored as (
        select
            item_key as found_key,
            source as best_source,
            because_item_key as because_key,
            times_bought,
            exp({{ learnt_score("weights_learnt", person_values()) }}) as strength
        from ({{ person_features(user_id, now) }})
        where
            {{ may_show("item_key", exclude, category, min_price, max_price, brand) }}
            and {{ new_to("item_key", user_id, leave_out) }}
    ),
    best as (
        select
            found_key,
            best_source,
            because_key,
            times_bought,
            {{ boosted("found_key", "strength") }} as boosted_strength
        from scored
    )
select
    {{ item("item_id", "found_key") }} as item_id,
    {{ item("title", "found_key") }} as title,
    {{ item("category", "found_key") }} as category,
    round(boosted_strength, 6) as score,
    multiIf(
        times_bought > 0,
        {{ counted("times_bought", "time", "times", before="you bought it ") }},
        because_key != 0,
        concat('goes with ', {{ item("title", "because_key") }}),
        best_source = 'alike',
        'people with items like yours want it',
        best_source = 'categories',
        concat('sells well in ', {{ item("category", "found_key") }}),
        best_source = 'rising',
        'sells more than usual',
        'sells well'
    ) as reason,
    best_source as source
from best
order by boosted_strength desc, found_key
limit {{ limit }}
