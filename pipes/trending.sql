-- Items with more activity in the last hours than usual, the most unusual first. The usual activity is
-- the average of the four weeks before, or of the time since the first event. New items can trend at
-- once. The period ends at the newest event, so that a quiet shop has an answer. A purchase counts more
-- than a view.
--
-- :hours  UInt16 = 24 (1..168)  hours that count as recent
-- :place  String? (1..256)      only events at this place or within it: properties.place
-- :limit  UInt16 = 10 (1..100)  number of items
-- @use segment
-- @use user
-- @use filters
-- @use reranking
--
-- @cache 500ms
-- @fallback popular
{% from 'catalogue.sql' import item_columns %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen, reranked %}
{% from 'places.sql' import hours_at %}
{% from 'reasons.sql' import more_than_usual, or_pinned %}
{% from 'signals.sql' import signal %}
{% set usual_days = 28 %}
{# Smoothing: half an event is always usual, so that one event is not a spike. #}
{% set min_usual = 0.5 %}
with
    (select hour from {{ hours_at(place) }} where hour <= {{ now }} order by hour desc limit 1) as newest,
    newest - toIntervalHour({{ hours }}) - toIntervalDay({{ usual_days }}) as first_hour,
    (
        select hour
        from {{ hours_at(place) }}
        where hour > newest - toIntervalHour({{ hours }}) - toIntervalDay({{ usual_days }})
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
        from {{ hours_at(place, segment, "first_hour") }}
        where
            hour > newest - toIntervalHour({{ hours }}) - toIntervalDay({{ usual_days }})
            and hour <= newest
            and event_type not in ('impression', 'refunded_purchase')
        group by item_key, is_recent
    ),
    compared as (
        select
            item_key,
            sumIf(counted_events, is_recent) as happened,
            sumIf(counted_events, not is_recent) * {{ hours }} / hours_before as expected,
            greatest(0, sumIf(weighted, is_recent)) as recent,
            greatest(
                {{ min_usual }}, sumIf(weighted, not is_recent) * {{ hours }} / hours_before
            ) as usual_weight
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
            {# Signed root of the Poisson deviance, 2 (c ln(c/v) - (c - v)) for c events where v are usual. #}
            sign(recent - usual_weight) * sqrt(
                2 * greatest(0, recent * ln(greatest(recent, 1e-9) / usual_weight) - (recent - usual_weight))
            ) as surprise
        from compared
        where
            {{ is_eligible("item_key", exclude, category, brand, min_price, max_price) }}
            {% if user_id %} and {{ is_unseen("item_key", user_id, exclude_history) }} {% endif %}
    ),
    ranked as (
        select item_key, happened, expected, recent, {{ boosted("item_key", "surprise") }} as rise
        from surprising
    ),
    arranged as (
        {{
            reranked(
                "ranked",
                "item_key",
                "rise",
                "rise desc, recent desc, item_key",
                limit,
                may_pin=is_eligible("pinned_key", exclude, category, brand, min_price, max_price),
                diversity=diversity,
                per_category=per_category,
                window=window,
                explore=explore,
                seed=seed,
                user_id=user_id if user_id else "''",
            )
        }}
    )
select
    {{ item_columns("item_key") }},
    happened as events,
    round(expected, 2) as usual,
    round(rise, 4) as score,
    {{ or_pinned(more_than_usual("happened", hours, "expected")) }} as reason,
    propensity
from arranged
order by position, rise desc, recent desc, item_key
limit {{ limit }}
