{#- How much an event says about interest: a view < a cart < a purchase; dislike and remove count against. -#}
{%- macro signal(event_type) -%}
    transform(
        {{ event_type }},
        ['impression', 'click', 'view', 'like', 'add_to_cart', 'remove_from_cart', 'purchase', 'dislike'],
        [0., 0.5, 1., 3., 3., -2., 5., -5.],
        1.
    )
{%- endmacro -%}
{#- Half-life decay of a Date: 1 today, a half `half_life_days` ago. Plain subtraction: dateDiff takes twice the time. -#}
{%- macro decay(day, now, half_life_days) -%}
    exp2(({{ day }} - toDate({{ now }})) / {{ half_life_days }})
{%- endmacro -%}
