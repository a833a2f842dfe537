-- Candidates for a user (pipe `candidates`), ranked by the model of `alsobought learn ranker`, with a
-- reason for each. Without a model, candidates that rank high in several sources come first.
--
-- :user_id          String                                    the user; a guest's session_id works too
-- :limit            UInt16 = 10 (1..600)                      number of items
-- :exclude_history  String = nothing (nothing, bought, seen)  leave out items the user bought or
-- disliked; seen: also those viewed, clicked or carted
-- @use user
-- @use filters
-- @use language
-- @use reranking
--
-- @cache 60s user_id
{% from 'candidates.sql' import user_candidates, user_values %}
{% from 'catalogue.sql' import buyable, item_columns %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen, reranked %}
{% from 'ranker.sql' import learned_score, learned_weights %}
{% from 'reasons.sql' import by_source, or_pinned %}
with
    {{ learned_weights("rank") }} as weights,
    scored as (
        select
            {{ buyable("item_key") }} as found_key,
            source as best_source,
            because_item_key as because_key,
            times_bought,
            exp({{ learned_score("weights", user_values()) }}) as strength
        from ({{ user_candidates(user_id, now) }})
        where
            {{ is_eligible("found_key", **filters) }}
            and {{ is_unseen("found_key", user_id, exclude_history) }}
    ),
    ranked as (select *, {{ boosted("found_key", "strength") }} as fit from scored),
    arranged as (
        {{
            reranked(
                "ranked",
                "found_key",
                "fit",
                "fit desc, found_key",
                limit,
                may_pin=is_eligible("pinned_key", **filters),
                user_id=user_id,
                **reranking
            )
        }}
    )
select
    {{ item_columns("found_key", language=language) }},
    round(fit, 6) as score,
    {{ or_pinned(by_source("best_source", "times_bought", "because_key", "found_key")) }} as reason,
    best_source as source,
    propensity
from arranged
order by position, fit desc, found_key
limit {{ limit }}
