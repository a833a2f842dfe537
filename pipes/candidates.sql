-- Candidates for a user from six sources, before `rank` orders them. The sources are `again`: items the
-- user bought; `goes_with`: items that go with the user's latest ones; `alike`: items wanted by users
-- with similar items; `categories`: best sellers of the user's categories; `rising`: items that sell
-- more than usual; `popular`: best sellers. An item of several sources appears once, with the source
-- that ranks it highest.
--
-- :user_id          String                                    the user; a guest's session_id works too
-- :limit            UInt16 = 100 (1..1000)                    number of candidates
-- :exclude_history  String = nothing (nothing, bought, seen)  leave out items the user bought or
-- disliked; seen: also those viewed, clicked or carted
-- @use user
-- @use filters
-- @use language
--
-- @cache 60s user_id
{% from 'candidates.sql' import user_candidates %}
{% from 'catalogue.sql' import buyable, item_columns %}
{% from 'lists.sql' import is_eligible, is_unseen, one_of_each_group %}
with
    eligible as (
        select
            {{ buyable("item_key") }} as found_key,
            source as best_source,
            source_score as best_score,
            sources as found_by,
            places as fused_log
        from ({{ user_candidates(user_id, now) }})
        where
            {{ is_eligible("found_key", **filters) }}
            and {{ is_unseen("found_key", user_id, exclude_history) }}
            {{ one_of_each_group("found_key", "fused_log desc, found_key") }}
    )
select
    {{ item_columns("found_key", language=language) }},
    best_source as source,
    round(best_score, 6) as source_score,
    found_by as sources,
    round(exp(fused_log), 6) as score
from eligible
order by fused_log desc, found_key
limit {{ limit }}
