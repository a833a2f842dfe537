{%- from 'catalogue.sql' import within -%}
{%- from 'users.sql' import in_segment -%}
{#- Event counts by hour: of the whole shop, or of one place (properties.place) and those within it. Of a segment of users, a user
    counts once for an item, an event type and a day, in the first hour of it; these are read from the events after `since`. -#}
{%- macro hours_at(place="", segment="", since="") -%}
    {% if segment %}
        (
            select
                toStartOfHour(toDateTime(min(timestamp), 'UTC')) as hour,
                event_type,
                cityHash64(item_id) as item_key,
                toInt64(1) as events,
                toInt64(1) as people
            from events
            where
                timestamp >= {{ since }} and event_type != 'refund'
                {% if place %} and {{ within("JSONExtractString(properties, 'place')", place) }} {% endif %}
                and {{ in_segment("user_id", segment) }}
            group by user_id, toDate(timestamp), event_type, item_key
        ) as hours_here
    {% elif place %}
        (
            select hour, event_type, item_key, events from place_hours where {{ within("place", place) }}
        ) as hours_here
    {% else %} item_hours
    {% endif %}
{%- endmacro -%}
