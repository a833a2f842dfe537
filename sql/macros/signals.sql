{%- from 'signals.csv' import signals -%}
{#- How much an event says about interest, from sql/signals.csv: a view < a cart < a purchase; dislike and remove count against.
    A type of event that is not listed there counts like a view, 1. -#}
{%- macro signal(event_type) -%}
    transform({{ event_type }}, {{ signals("event_type") }}, {{ signals("weight") }}, 1.)
{%- endmacro -%}
{#- Half-life decay of a Date: 1 today, a half `half_life_days` ago. Plain subtraction: dateDiff takes twice the time. -#}
{%- macro decay(day, now, half_life_days) -%}
    exp2(({{ day }} - toDate({{ now }})) / {{ half_life_days }})
{%- endmacro -%}
