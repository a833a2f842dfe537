-- Products viewed in the same visit as this one, best first. Recent visits count more.
--
-- :item_id       String                   the product on the page; repeat it to ask for several at once
-- :limit         UInt16 = 10 (1..100)     number of rows for each
-- :score         String? (decayed, count, cosine, jaccard, conditional, lift, llr)  decayed, the
-- default: visits with both products, recent ones weigh more; count: their number; cosine, jaccard:
-- their number relative to the visits of either product; conditional: their share of this product's
-- visits; lift, llr: their number compared with chance
-- :min_sessions  UInt32 = 1 (1..1000000)  minimum number of visits with both products; use 5 or more
-- for lift and llr
-- @use filters
-- @use language
--
-- @key item_id
-- @cache 500ms
-- @fallback also_bought
{% from 'catalogue.sql' import buyable, is_other_product, keys_of, pair_columns %}
{% from 'constants.sql' import half_life_days %}
{% from 'lists.sql' import boosted, is_eligible, one_of_each_group %}
{% from 'reasons.sql' import viewed_together %}
{% from 'scores.sql' import pair_score %}
{% from 'signals.sql' import decay %}
{% from 'totals.sql' import total_sessions %}
with
    pairs as (
        select
            item_key,
            other_item_key,
            sum(sessions) as times,
            sum(sessions * {{ decay("month", now, half_life_days) }}) as strength
        from co_views
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        having times >= {{ min_sessions }}
    ),
    {% if score %}
        {{ total_sessions() }} as all_sessions,
        totals as (
            select item_key as total_key, sum(sessions) as viewed_sessions
            from item_totals
            group by total_key
            having viewed_sessions > 0
        ),
        scored as (
            select
                pairs.item_key as item_key,
                pairs.other_item_key as other_item_key,
                pairs.times as times,
                {{
                    pair_score(
                        score,
                        "pairs.strength",
                        "pairs.times",
                        "own.viewed_sessions",
                        "other.viewed_sessions",
                        "all_sessions",
                    )
                }} as strength
            from pairs
            inner join totals as own on own.total_key = pairs.item_key
            inner join totals as other on other.total_key = pairs.other_item_key
        ),
    {% else %} scored as (select item_key, other_item_key, times, strength from pairs),
    {% endif %}
    best as (
        select
            item_key,
            {{ buyable("other_item_key") }} as shown_key,
            times,
            {{ boosted("shown_key", "scored.strength") }} as fit
        from scored
        where
            {{ is_eligible("shown_key", **filters) }} and {{ is_other_product("other_item_key", "item_key") }}
            {{
                one_of_each_group(
                    "shown_key", "shown_key != other_item_key, fit desc, shown_key", by="item_key"
                )
            }}
        order by fit desc, shown_key
        limit {{ limit }} by item_key
    )
select
    {{ pair_columns("item_key", "shown_key", language=language) }},
    times as sessions,
    round(fit, 6) as score,
    {{ viewed_together("times") }} as reason
from best
order by item_id, fit desc, shown_key
limit 100000
