-- Items that this user may want next. They go with everything the user bought, carted and viewed; recent
-- activity counts most. `alsobought learn neighbours` learns which items go together; baskets decide for
-- items that are too new for it. Liked categories rank higher. With exclude_history=nothing the list
-- includes repeat purchases.
--
-- :user_id  String                the user; a guest's session_id works too. Repeat it to ask for several
-- :limit    UInt16 = 10 (1..100)  number of items for each
-- :rotate   Bool = true           discount items that were shown and never clicked
-- @use user
-- @use filters
-- @use reranking
--
-- @key user_id
-- @cache 300s user_id
-- @fallback trending
{% from 'catalogue.sql' import item, item_columns, owner %}
{% from 'demand.sql' import times_bought_again %}
{% from 'lists.sql' import boosted, fatigue, in_history, is_eligible, reranked %}
{% from 'reasons.sql' import because_of, or_pinned %}
{% from 'signals.sql' import signal %}
{# The items whose wishes are added up: those with the strongest habits, and the latest. Only the latest if nothing is learned of
   them. #}
{% set strongest = 100 %}
{% set latest = 10 %}
with
    did as (
        {# Activity of the last day counts up to 3x, the latest most. #}
        select
            user_id,
            one.item_key as own_key,
            sumIf(one.events, one.event_type = 'purchase') as bought,
            sumIf(one.events, one.event_type not in ('purchase', 'impression')) as looked,
            sum(one.habit * {{ signal("one.event_type") }}) / {{ signal("'purchase'") }} as habit,
            maxIf(one.last_seq, one.event_type != 'impression') as newest,
            toDate(maxIf(one.last_time, one.event_type != 'impression')) as newest_day,
            row_number() over (partition by user_id order by habit desc, own_key) as nth_habit,
            row_number() over (partition by user_id order by habit <= 0, newest desc) as nth,
            if(newest_day + 1 >= toDate({{ now }}), 1 + 2 * exp2((1 - nth) / 5), 1) as recency,
            log2(1 + greatest(0, habit)) * recency as interest,
            if(
                interest > 0 and (nth_habit <= {{ strongest }} or nth <= {{ latest }}), own_key, 0
            ) as asked_key,
            countIf({{ in_history("one.event_type", exclude_history) }}) > 0 as is_excluded,
            if(bought + looked = 0, {{ fatigue("sum(one.events)", "max(one.last_time)") }}, 1) as freshness
        from user_history
        array join items as one
        where user_id in (select arrayJoin({{ user_id }}))
        group by user_id, own_key
    ),
    found as (
        {# The row of an own item has weight -1. A category with all of the user's interest counts twice. #}
        select
            user_id,
            found_key,
            sumIf(greatest(0, habit), weight < 0) as liking,
            sumIf(weight * interest, weight > 0) as wish,
            greatest(1e-9, sum(liking) over (partition by user_id)) as all_liking,
            greatest(1e-9, sum(wish) over (partition by user_id)) as all_wishes,
            {{ item("category", "found_key") }} as found_category,
            sum(liking) over (partition by user_id, found_category) / all_liking as shared,
            if(found_category = '', 1, 1 + shared) * 0.3 * wish / all_wishes as wanted_part,
            {# Items that their buyers buy again count more. #}
            liking * greatest(1, {{ times_bought_again("found_key") }}) / all_liking as habit_part,
            if({{ exclude_history }} = 'nothing', habit_part, 0) as own_part,
            own_part >= wanted_part as is_own,
            if(is_own, 0, argMax(own_key, weight * interest)) as because_key,
            if(is_own, maxIf(bought, weight < 0), argMax(bought, weight * interest)) as times_bought,
            if(is_own, maxIf(looked, weight < 0), argMax(looked, weight * interest)) as times_looked,
            max(weight < 0 and is_excluded) as is_over,
            min(if(weight < 0 and {{ rotate }}, freshness, 1)) as rested
        from did
        left join item_wanted on item_wanted.item_key = asked_key
        array join
            arrayConcat(
                [own_key], if(is_learned or nth <= {{ latest }}, item_wanted.wanted.item_key, [])
            ) as found_key,
            arrayConcat(
                [toFloat32(-1)], if(is_learned or nth <= {{ latest }}, item_wanted.wanted.weight, [])
            ) as weight
        group by user_id, found_key
    ),
    ranked as (
        select
            user_id,
            found_key,
            because_key,
            times_bought,
            times_looked,
            (own_part + wanted_part) * rested as fit,
            {{ boosted("found_key", "fit") }} as strength
        from found
        where
            fit > 0
            and not is_over
            and {{ owner("owner_key", "found_key") }} != cityHash64(user_id)
            and {{ is_eligible("found_key", exclude, category, brand, min_price, max_price) }}
    ),
    arranged as (
        {{
            reranked(
                "ranked",
                "found_key",
                "strength",
                "strength desc, found_key",
                limit,
                may_pin=is_eligible("pinned_key", exclude, category, brand, min_price, max_price),
                by="user_id",
                diversity=diversity,
                per_category=per_category,
                window=window,
                explore=explore,
                seed=seed,
                user_id="list_key",
            )
        }}
    ),
    best as (select * from arranged order by position, strength desc, found_key limit {{ limit }} by user_id)
select
    user_id,
    {{ item_columns("found_key") }},
    {{ item("item_id", "because_key") }} as because_item_id,
    {{ item("title", "because_key") }} as because_title,
    round(strength, 6) as score,
    {{
        or_pinned(
            because_of("because_key", "because_item_id", "because_title", "times_bought", "times_looked")
        )
    }} as reason,
    propensity
from best
order by user_id, position, strength desc, found_key
limit 100000
