{#- How often: once, twice, 3 times. -#}
{%- macro times(number) -%}
    multiIf({{ number }} = 1, 'once', {{ number }} = 2, 'twice', concat(toString({{ number }}), ' times'))
{%- endmacro -%}
{#- How long ago a Date was, in days: today, yesterday, 5 days ago. -#}
{%- macro days_ago(days) -%}
    multiIf({{ days }} <= 0, 'today', {{ days }} = 1, 'yesterday', concat(toString({{ days }}), ' days ago'))
{%- endmacro -%}
{#- What to call an item in a sentence: its title, else its id. -#}
{%- macro named(item_key) -%}
    if(
        dictGet('catalogue', 'title', {{ item_key }}) = '',
        dictGet('catalogue', 'item_id', {{ item_key }}),
        dictGet('catalogue', 'title', {{ item_key }})
    )
{%- endmacro -%}
