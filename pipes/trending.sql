-- Items that more people want in the last hours than usual, the most unusual first. Usual is the average
-- of the four weeks before, or of the time since the first event. New items can trend at once. The
-- period ends at the newest event, so that a quiet shop has an answer. A purchase counts more than a
-- view. A person counts once a day for an item and a type of event.
--
-- :hours  UInt16 = 24 (1..168)  hours that count as recent
-- :place  String? (1..256)      only events at this place or within it: properties.place
-- :limit  UInt16 = 10 (1..100)  number of items
-- @use segment
-- @use user
-- @use filters
-- @use language
-- @use reranking
--
-- @cache 500ms
-- @fallback popular
{% from 'catalogue.sql' import buyable, item_columns, sum_of_group %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen, past_groups, reranked %}
{% from 'places.sql' import by_hour, hours_at %}
{% from 'reasons.sql' import more_than_usual, or_pinned %}
{% from 'signals.sql' import signal %}
{% set usual_days = 28 %}
{# Smoothing: half an event is always usual, so that one event is not a spike. #}
{% set min_usual = 0.5 %}
with
    (
        select hour
        from {{ hours_at(place) }}
        where hour <= {{ now }}
        order by {{ by_hour("desc", place) }}
        limit 1
    ) as newest,
    newest - toIntervalHour({{ hours }}) - toIntervalDay({{ usual_days }}) as first_hour,
    (
        select hour
        from {{ hours_at(place) }}
        where hour > first_hour
        order by {{ by_hour("asc", place) }}
        limit 1
    ) as oldest,
    greatest({{ hours }}, dateDiff('hour', oldest, newest) + 1 - {{ hours }}) as hours_before,
    heard as (
        select
            item_key,
            hour > newest - toIntervalHour({{ hours }}) as is_recent,
            sum(voices) as counted,
            sum(voices * {{ signal("event_type") }}) / {{ signal("'purchase'") }} as weighted
        from {{ hours_at(place, segment, "first_hour") }}
        where hour > first_hour and hour <= newest
        group by item_key, is_recent
    ),
    compared as (
        select
            item_key,
            sumIf(weighted, is_recent) as own_recent,
            {{ sum_of_group("sumIf(counted, is_recent)", "item_key") }} as happened,
            {{ sum_of_group("sumIf(counted, not is_recent)", "item_key") }}
            * {{ hours }}
            / hours_before as expected,
            greatest(0, {{ sum_of_group("own_recent", "item_key") }}) as recent,
            greatest(
                {{ min_usual }},
                {{ sum_of_group("sumIf(weighted, not is_recent)", "item_key") }} * {{ hours }} / hours_before
            ) as usual_weight
        from heard
        group by item_key
        {# A variant without a recent event belongs to what is usual of its group. #}
        {% if not has_variants %} having happened > 0 {% endif %}
    ),
    surprising as (
        select
            {{ buyable("item_key") }} as shown_key,
            shown_key != item_key as stands_in,
            own_recent,
            happened,
            expected,
            recent,
            {# Signed root of the Poisson deviance, 2 (c ln(c/v) - (c - v)) for c events where v are usual. #}
            sign(recent - usual_weight) * sqrt(
                2 * greatest(0, recent * ln(greatest(recent, 1e-9) / usual_weight) - (recent - usual_weight))
            ) as surprise
        from compared
        where
            {{ is_eligible("shown_key", **filters) }}
            {% if has_variants %} and happened > 0 {% endif %}
            {% if user_id %} and {{ is_unseen("shown_key", user_id, exclude_history) }} {% endif %}
    ),
    ranked as (
        select
            shown_key,
            stands_in,
            own_recent,
            happened,
            expected,
            recent,
            {{ boosted("shown_key", "surprise") }} as rise
        from surprising
    ),
    arranged as (
        {{
            reranked(
                "ranked",
                "shown_key",
                "rise",
                "rise desc, recent desc, shown_key",
                limit,
                may_pin=is_eligible("pinned_key", **filters),
                first_of_group="stands_in, own_recent desc, shown_key",
                user_id=user_id if user_id else "''",
                past=past_groups(user_id, exclude_history) if user_id else "",
                **reranking
            )
        }}
    )
select
    {{ item_columns("shown_key", language=language) }},
    happened as events,
    round(expected, 2) as usual,
    round(rise, 4) as score,
    {{ or_pinned(more_than_usual("happened", hours, "expected")) }} as reason,
    propensity
from arranged
order by position, rise desc, recent desc, shown_key
limit {{ limit }}
