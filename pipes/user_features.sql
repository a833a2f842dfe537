-- The current features and score of each candidate of a user, as `rank` uses them. Values are natural
-- logarithms; sql/macros/candidates.sql defines them, and ranker_weights has the weight of each.
--
-- :user_id  String                 the user; a guest's session_id works too
-- :limit    UInt16 = 10 (1..1000)  number of candidates
-- @use language
{% from 'candidates.sql' import user_candidates, user_values %}
{% from 'catalogue.sql' import item, title_in %}
{% from 'ranker.sql' import learned_score, learned_weights %}
with
    {{ learned_weights("rank") }} as weights,
    scored as (
        select *, exp({{ learned_score("weights", user_values()) }}) as strength
        from ({{ user_candidates(user_id, now) }})
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ title_in(language, "item_key") }} as title,
    source,
    strength as score,
    places,
    repeats,
    interest,
    since,
    goes_with,
    popular,
    rising,
    category,
    price
from scored
order by score desc, item_key
limit {{ limit }}
