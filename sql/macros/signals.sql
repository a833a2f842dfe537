{%- from 'signals.csv' import signals -%}
{#- The weight of an event as a sign of interest, from sql/signals.csv: a view < a cart < a purchase; dislike and remove are
    negative. An event type that is not in the file has the weight of a view, 1; but a refunded purchase has none. -#}
{%- macro signal(event_type) -%}
    transform(
        {{ event_type }},
        arrayConcat({{ signals("event_type") }}, ['refunded_purchase']),
        arrayConcat({{ signals("weight") }}, [0.]),
        1.
    )
{%- endmacro -%}
{#- Exponential decay of a Date: 1 today, 0.5 `half_life_days` ago. Plain subtraction, since dateDiff takes twice the time. -#}
{%- macro decay(day, now, half_life_days) -%}
    exp2(({{ day }} - toDate({{ now }})) / {{ half_life_days }})
{%- endmacro -%}
