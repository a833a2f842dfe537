{%- from 'catalogue.sql' import within -%}
{#- Voices by hour: of the whole shop, or of one place (properties.place) and those within it. -#}
{%- macro hours_at(place="") -%}
    (
        select place, hour, event_type, item_key, voices
        from hourly_voices
        where {% if place %} {{ within("place", place) }} {% else %} place = '' {% endif %}
    ) as hours_here
{%- endmacro -%}
{#- An order of these rows by hour, `asc` or `desc`: with the key of the table, so that the first row is found without a scan. -#}
{%- macro by_hour(direction, place="") -%}
    {% if not place %} place {{ direction }}, {% endif %} hour {{ direction }}
{%- endmacro -%}
