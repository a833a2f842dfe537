-- What rises: items with more going on in the last hours than they usually have, the greatest surprise first.
-- An item that never had anything going on can trend at once. The hours end with the newest event, so that a quiet shop
-- still has an answer. Events are weighted: a purchase says more than a view.
--
-- :hours     UInt16 = 24 (1..168)  how many hours count as now
-- :limit     UInt16 = 10 (1..100)  how many items
-- :category  String?               only items of this category, or below it
{% from 'catalogue.sql' import item, in_category, available %}
{% from 'signals.sql' import signal %}
with
    (
        select max(hour) from item_hours where hour <= {{ now }}
    ) as newest,
    counted as (
        select
            item_key,
            sumIf(events, hour > newest - toIntervalHour({{ hours }})) as happened,
            sumIf(events * {{ signal('event_type') }}, hour > newest - toIntervalHour({{ hours }})) as recent,
            sumIf(events * {{ signal('event_type') }}, hour <= newest - toIntervalHour({{ hours }}))
            * {{ hours }} / (28 * 24) as expected
        from item_hours
        where
            hour > newest - toIntervalHour({{ hours }}) - toIntervalDay(28)
            and hour <= newest
            and event_type != 'impression'
        group by item_key
        having happened > 0 and recent > 0
    ),
    surprising as (
        select
            item_key,
            happened,
            recent,
            expected,
            {# Signed root of the Poisson deviance 2 (c ln(c/v) - (c - v)); one event is always within the usual. #}
            sign(recent - greatest(expected, 1))
            * sqrt(2 * (recent * ln(recent / greatest(expected, 1)) - (recent - greatest(expected, 1)))) as surprise
        from counted
        where {{ available('item_key') }} {% if category %} and {{ in_category('item_key', category) }} {% endif %}
    )
select
    {{ item('item_id', 'item_key') }} as item_id,
    {{ item('title', 'item_key') }} as title,
    {{ item('category', 'item_key') }} as category,
    happened as events,
    round(expected, 2) as usual,
    round(surprise, 4) as score
from surprising
order by surprise desc, recent desc, item_key
limit {{ limit }}
