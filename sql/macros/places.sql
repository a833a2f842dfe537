{#- Events by the hour: everywhere, or at one place and those within it; Finland holds Finland/Helsinki. -#}
{%- macro hours_at(place="") -%}
    {% if place %}
        (
            select hour, event_type, item_key, events
            from place_hours
            where place = {{ place }} or startsWith(place, concat({{ place }}, '/'))
        ) as hours_here
    {% else %} item_hours
    {% endif %}
{%- endmacro -%}
