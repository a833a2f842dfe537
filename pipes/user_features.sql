-- The features by which rank ranks the candidates of a person, as they are now, and the score. Numbers
-- are natural logarithms; ranker_weights has what each is worth, and sql/macros/candidates.sql what each
-- is.
--
-- :user_id  String                  the person; a guest's session_id works too
-- :limit    UInt16 = 10 (1..1000)   how many
{% from 'candidates.sql' import person_features, person_values %}
{% from 'catalogue.sql' import item %}
{% from 'ranker.sql' import learnt, learnt_score %}
with
    {{ learnt("rank") }} as weights_learnt,
    scored as (
        select *, exp({{ learnt_score("weights_learnt", person_values()) }}) as strength
        from ({{ person_features(user_id, now) }})
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("title", "item_key") }} as title,
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
