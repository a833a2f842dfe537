-- Products viewed in the same visit as this one, best first: recent visits count more.
--
-- :item_id       String                   the product on the page; repeat it to ask for several at once
-- :limit         UInt16 = 10 (1..100)     how many for each
-- :score         String? (decayed, count, cosine, jaccard, conditional, lift, llr)  what puts them in
-- order. decayed, which it is if none is given: visits with both, half as much every 180 days; count: these
-- visits; cosine, jaccard: divided by how often each is viewed; conditional: among this one's visits; lift,
-- llr: how much oftener than by chance
-- :min_sessions  UInt32 = 1 (1..1000000)  how many visits must have both; ask lift and llr for some
-- :exclude       Array(String)?           leave out these products; repeat it
-- :category      String?                  only products of this category, or below it
-- :brand         Array(String)?           only products of these brands
-- :min_price     Float64? (0..1e12)       none that costs less
-- :max_price     Float64? (0..1e12)       none that costs more
--
-- @key item_id
-- @cache 500ms
-- @fallback also_bought
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import boosted, counted, may_show %}
{% from 'scores.sql' import pair_score %}
{% from 'signals.sql' import decay %}
with
    pairs as (
        select
            item_key,
            other_item_key,
            sum(sessions) as times,
            sum(sessions * {{ decay("month", now, 180) }}) as strength
        from co_views
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        having times >= {{ min_sessions }}
    ),
    {% if score %}
        assumeNotNull((select sum(sessions) from item_totals where item_key = 0)) as all_sessions,
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
        select item_key, other_item_key, times, {{ boosted("other_item_key", "scored.strength") }} as fit
        from scored
        where {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
        order by fit desc, other_item_key
        limit {{ limit }} by item_key
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("item_id", "other_item_key") }} as other_item_id,
    {{ item("title", "other_item_key") }} as title,
    {{ item("category", "other_item_key") }} as category,
    times as sessions,
    round(fit, 6) as score,
    concat('viewed together in ', {{ counted("times", "visit", "visits") }}) as reason
from best
order by item_id, fit desc, other_item_key
limit 100000
