{%- from 'catalogue.sql' import within -%}
{#- Event counts by hour: of the whole shop, or of one place (properties.place) and those within it. -#}
{%- macro hours_at(place="") -%}
    {% if place %}
        (
            select hour, event_type, item_key, events from place_hours where {{ within("place", place) }}
        ) as hours_here
    {% else %} item_hours
    {% endif %}
{%- endmacro -%}
