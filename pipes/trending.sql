-- What rises: items with more going on in the last hours than they usually have, the greatest surprise first.
-- An item that never had anything going on can trend at once. The hours end with the newest event, so that a
-- quiet shop has an answer too. What is usual is the four weeks before, or as long as there was anything.
-- Events are weighted: a purchase says more than a view.
--
-- :hours         UInt16 = 24 (1..168)  how many hours count as now
-- :place         String? (1..256)      only what happens at this place, or within it: properties.place
-- :limit         UInt16 = 10 (1..100)  how many items
-- :user_id       String?               for this person: without what they have
-- :leave_out     String = bought (nothing, bought, seen)  what the person has: bought or disliked; seen:
-- also viewed, clicked, carted
-- :exclude       Array(String)?        leave out these items; repeat it
-- :category      String?               only items of this category, or below it
-- :brand         Array(String)?        only items of these brands
-- :min_price     Float64? (0..1e12)    only items that cost at least this
-- :max_price     Float64? (0..1e12)    only items that cost at most this
-- :diversity     Float64? (0..1)       how much less an item counts that is like those before it; 0 is off
-- :per_category  UInt8? (1..100)       at most so many of one category within `window`
-- :window        UInt8 = 10 (2..100)   so many places in a row
-- :explore       Float64? (0..1)       the share of places that try something from further down
-- :seed          UInt32 = 0            another one tries something else
--
-- @cache 500ms
-- @fallback popular
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import boosted, counted, in_places, may_show, new_to, picked %}
{% from 'places.sql' import hours_at %}
{% from 'signals.sql' import signal %}
with
    (select hour from {{ hours_at(place) }} where hour <= {{ now }} order by hour desc limit 1) as newest,
    (
        select hour
        from {{ hours_at(place) }}
        where hour > newest - toIntervalHour({{ hours }}) - toIntervalDay(28)
        order by hour
        limit 1
    ) as oldest,
    greatest({{ hours }}, dateDiff('hour', oldest, newest) + 1 - {{ hours }}) as hours_before,
    counted as (
        select
            item_key,
            hour > newest - toIntervalHour({{ hours }}) as is_recent,
            sum(events) as counted_events,
            sum(events * {{ signal("event_type") }}) / {{ signal("'purchase'") }} as weighted
        from {{ hours_at(place) }}
        where
            hour > newest - toIntervalHour({{ hours }}) - toIntervalDay(28)
            and hour <= newest
            and event_type != 'impression'
        group by item_key, is_recent
    ),
    compared as (
        select
            item_key,
            sumIf(counted_events, is_recent) as happened,
            sumIf(counted_events, not is_recent) * {{ hours }} / hours_before as expected,
            greatest(0, sumIf(weighted, is_recent)) as recent,
            {# Half an event is always within the usual, so that a first event is no sensation. #}
            greatest(0.5, sumIf(weighted, not is_recent) * {{ hours }} / hours_before) as normal
        from counted
        group by item_key
        having happened > 0
    ),
    surprising as (
        select
            item_key,
            happened,
            expected,
            recent,
            {# Signed root of the Poisson deviance, 2 (c ln(c/v) - (c - v)) for c events where v are normal. #}
            sign(recent - normal) * sqrt(
                2 * greatest(0, recent * ln(greatest(recent, 1e-9) / normal) - (recent - normal))
            ) as surprise
        from compared
        where
            {{ may_show("item_key", exclude, category, min_price, max_price, brand) }}
            {% if user_id %} and {{ new_to("item_key", user_id, leave_out) }} {% endif %}
    ),
    ranked as (
        select item_key, happened, expected, recent, {{ boosted("item_key", "surprise") }} as rise
        from surprising
    ),
    placed as (
        {{
            in_places(
                "ranked",
                "item_key",
                "rise",
                "rise desc, recent desc, item_key",
                limit,
                may_pin=may_show("pinned_key", exclude, category, min_price, max_price, brand),
                diversity=diversity,
                per_category=per_category,
                window=window,
                explore=explore,
                seed=seed,
                person=user_id if user_id else "''",
            )
        }}
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("title", "item_key") }} as title,
    {{ item("category", "item_key") }} as category,
    happened as events,
    round(expected, 2) as usual,
    round(rise, 4) as score,
    if(
        pinned,
        {{ picked() }},
        concat(
            {{ counted("happened", "event", "events") }},
            {{ counted(hours, "hour", "hours", before=" in ") }},
            ', usually ',
            toString(round(assumeNotNull(expected), 1))
        )
    ) as reason,
    propensity
from placed
order by place, rise desc, recent desc, item_key
limit {{ limit }}
