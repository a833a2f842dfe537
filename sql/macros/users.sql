{#- Attributes of users: the table users, one row per user. Every attribute is a list of words, most of one; a number is the word
    that it is written as. docs/how-to/users.md shows these macros in a pipe. -#}
{#- The words of an attribute of one user, an Array(String); empty without it. One value, calculated once in a query. -#}
{%- macro user_words(user_id, name) -%}
    (
        select arrayFlatten(groupArray(attributes[{{ name }}]))
        from users final
        where user_id = {{ user_id }} and not removed
    )
{%- endmacro -%}
{#- The first word of an attribute of one user; empty without it. -#}
{%- macro user_word(user_id, name) -%} arrayElement({{ user_words(user_id, name) }}, 1) {%- endmacro -%}
{#- An attribute of one user as a number; null without it. -#}
{%- macro user_number(user_id, name) -%} toFloat64OrNull({{ user_word(user_id, name) }}) {%- endmacro -%}
{#- A word as a number that can be compared: a date is 20260131; null if it is neither. -#}
{%- macro ordinal(word) -%}
    toFloat64OrNull(replaceRegexpOne({{ word }}, '^([0-9]{4})-([0-9]{2})-([0-9]{2})$', '\\1\\2\\3'))
{%- endmacro -%}
{#- An end of a range such as 30..44; nan of a value that is none, which no number is above or below. -#}
{%- macro range_end(value, end, without) -%}
    if(
        position({{ value }}, '..') = 0,
        nan,
        ifNull({{ ordinal(end) }}, if({{ end }} = '', {{ without }}, nan))
    )
{%- endmacro -%}
{#- The user_ids of a segment, for `user_id in …`: a list of conditions `name:value`, all of which hold. A value is one of the words
    of the attribute, or a range of numbers or dates, both ends included: age:30..44, age:30.., since:2026-01-01..2026-03-31. -#}
{%- macro users_in(segment) -%}
    (
        with
            arrayMap(one -> substring(one, 1, position(one, ':') - 1), {{ segment }}) as names,
            arrayMap(one -> substring(one, position(one, ':') + 1), {{ segment }}) as wanted,
            arrayMap(one -> {{ range_end("one", "splitByString('..', one)[1]", "-inf") }}, wanted) as lows,
            arrayMap(one -> {{ range_end("one", "splitByString('..', one)[2]", "inf") }}, wanted) as highs
        select user_id
        from users final
        where
            not removed
            and arrayAll(
                (name, value, low, high) -> has(attributes[name], value)
                or arrayExists(word -> {{ ordinal("word") }} between low and high, attributes[name]),
                names,
                wanted,
                lows,
                highs
            )
    )
{%- endmacro -%}
{#- True if a user is in a segment. -#}
{%- macro in_segment(user_id, segment) -%} {{ user_id }} in {{ users_in(segment) }} {%- endmacro -%}
{#- Whether events of a type can be voices, as voices_mv has it. -#}
{%- macro may_be_voice(event_type) -%}
    {{ event_type }} not in ('impression', 'refund', 'refunded_purchase')
{%- endmacro -%}
{#- Voices by day: of all users, or of a segment. -#}
{%- macro days_of(segment="") -%}
    {% if segment %}
        (
            select day, event_type, item_key, toInt64(1) as voices
            from user_days
            where {{ in_segment("user_id", segment) }} and {{ may_be_voice("event_type") }}
            group by user_id, day, event_type, item_key
            having sum(user_days.events) > 0
        ) as days_here
    {% else %} daily_voices
    {% endif %}
{%- endmacro -%}
