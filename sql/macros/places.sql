{%- from 'catalogue.sql' import within -%}
{%- from 'users.sql' import in_segment, may_be_voice -%}
{#- Voices by hour: of the whole shop, or of one place (properties.place) and those within it; those of a segment of users are found in
    the events after `since`. -#}
{%- macro hours_at(place="", segment="", since="") -%}
    {% if segment %}
        (
            select
                '' as place,
                toStartOfHour(toDateTime(min(timestamp), 'UTC')) as hour,
                event_type,
                cityHash64(item_id) as item_key,
                toInt64(1) as voices
            from events
            where
                timestamp >= {{ since }} and {{ may_be_voice("event_type") }}
                {% if place %} and {{ within("JSONExtractString(properties, 'place')", place) }} {% endif %}
                and {{ in_segment("user_id", segment) }}
            group by user_id, toDate(timestamp), event_type, item_key
        ) as hours_here
    {% else %}
        (
            select place, hour, event_type, item_key, voices
            from hourly_voices
            where {% if place %} {{ within("place", place) }} {% else %} place = '' {% endif %}
        ) as hours_here
    {% endif %}
{%- endmacro -%}
{#- An order of these rows by hour, `asc` or `desc`: with the key of the table, so that the first row is found without a scan. -#}
{%- macro by_hour(direction, place="") -%}
    {% if not place %} place {{ direction }}, {% endif %} hour {{ direction }}
{%- endmacro -%}
