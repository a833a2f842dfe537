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
-- @use language
-- @use reranking
--
-- @key user_id
-- @cache 300s user_id
-- @fallback trending
{% from 'catalogue.sql' import buyable, group_of, item, item_columns, owner, sum_of_group, title_in %}
{% from 'demand.sql' import times_bought_again %}
{% from 'lists.sql' import boosted, fatigue, in_history, is_eligible, past_groups, reranked %}
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
            sumIf(
                one.events, one.event_type not in ('purchase', 'impression', 'refunded_purchase')
            ) as looked,
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
        {# The row of an own item has weight -1. #}
        select
            user_id,
            found_key,
            sumIf(greatest(0, habit), weight < 0) as liking,
            sumIf(weight * interest, weight > 0) as wish,
            argMax(own_key, weight * interest) as wisher_key,
            argMax(bought, weight * interest) as wisher_bought,
            argMax(looked, weight * interest) as wisher_looked,
            maxIf(bought, weight < 0) as own_bought,
            maxIf(looked, weight < 0) as own_looked,
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
    shares as (
        {# A category with all of the user's interest counts twice. Items that their buyers buy again count more. #}
        select
            *,
            {{ item("category", "found_key") }} as found_category,
            greatest(1e-9, sum(liking) over (partition by user_id)) as all_liking,
            if(
                found_category = '', 0, sum(liking) over (partition by user_id, found_category)
            ) as in_category,
            0.3
            * (1 + in_category / all_liking)
            * wish
            / greatest(1e-9, sum(wish) over (partition by user_id)) as wanted_part,
            if({{ exclude_history }} = 'nothing', liking / all_liking, 0)
            * greatest(1, {{ times_bought_again("found_key") }}) as own_part,
            own_part >= wanted_part as is_own,
            {% if has_variants %} max(is_over) over (partition by user_id, {{ group_of("found_key") }})
            {% else %} is_over
            {% endif %} as is_past
        from found
    ),
    ranked as (
        select
            user_id,
            {{ buyable("found_key") }} as shown_key,
            shown_key != found_key as stands_in,
            if(is_own, 0, wisher_key) as because_key,
            if(is_own, own_bought, wisher_bought) as times_bought,
            if(is_own, own_looked, wisher_looked) as times_looked,
            (own_part + wanted_part) * rested as fit,
            {{ sum_of_group("fit", "found_key", by="user_id") }} as all_fit,
            {{ boosted("shown_key", "all_fit") }} as strength
        from shares
        where
            fit > 0
            and not is_past
            and {{ owner("owner_key", "shown_key") }} != cityHash64(user_id)
            and {{ is_eligible("shown_key", **filters) }}
    ),
    arranged as (
        {{
            reranked(
                "ranked",
                "shown_key",
                "strength",
                "strength desc, shown_key",
                limit,
                may_pin=is_eligible("pinned_key", **filters),
                by="user_id",
                first_of_group="stands_in, fit desc, shown_key",
                user_id="list_key",
                past=past_groups(user_id, exclude_history),
                **reranking
            )
        }}
    )
select
    user_id,
    {{ item_columns("shown_key", language=language) }},
    {{ item("item_id", "because_key") }} as because_item_id,
    {{ title_in(language, "because_key") }} as because_title,
    round(strength, 6) as score,
    {{
        or_pinned(
            because_of("because_key", "because_item_id", "because_title", "times_bought", "times_looked")
        )
    }} as reason,
    propensity
from arranged
order by user_id, position, strength desc, shown_key
limit 100000
