{#- Every sentence of the column `reason`, and nothing else. To translate a shop, rewrite the texts in this file (docs/explanation/lists.md). -#}
{#- Parts of sentences -#}
{#- A number and its noun: 1 basket, 42 baskets. -#}
{%- macro quantity(number, one, many) -%}
    concat(toString({{ number }}), if({{ number }} = 1, ' {{ one }}', ' {{ many }}'))
{%- endmacro -%}
{%- macro baskets(number) -%} {{ quantity(number, "basket", "baskets") }} {%- endmacro -%}
{%- macro visits(number) -%} {{ quantity(number, "visit", "visits") }} {%- endmacro -%}
{%- macro events(number) -%} {{ quantity(number, "event", "events") }} {%- endmacro -%}
{#- How often: once, twice, 3 times. -#}
{%- macro frequency(number) -%}
    multiIf({{ number }} = 1, 'once', {{ number }} = 2, 'twice', concat(toString({{ number }}), ' times'))
{%- endmacro -%}
{#- How long ago, in days: today, yesterday, 5 days ago. -#}
{%- macro days_ago(days) -%}
    multiIf({{ days }} <= 0, 'today', {{ days }} = 1, 'yesterday', concat(toString({{ days }}), ' days ago'))
{%- endmacro -%}
{#- A share in percent, at least 1. -#}
{%- macro percent(share) -%} concat(toString(greatest(1, round(100 * {{ share }}))), ' %') {%- endmacro -%}
{#- The title of an item, else its id. -#}
{%- macro item_name(item_key) -%}
    if(
        dictGet('catalogue', 'title', {{ item_key }}) = '',
        dictGet('catalogue', 'item_id', {{ item_key }}),
        dictGet('catalogue', 'title', {{ item_key }})
    )
{%- endmacro -%}
{#- Of a pinned row -#}
{%- macro pinned_reason() -%} 'picked by the shop' {%- endmacro -%}
{#- Of a new item that was chosen to be tried -#}
{%- macro new_reason() -%} 'new in the shop' {%- endmacro -%}
{#- A sentence, or for a pinned row that the shop picked it, or that it is new. -#}
{%- macro or_pinned(sentence) -%}
    multiIf(pinned, {{ pinned_reason() }}, is_new_item, {{ new_reason() }}, {{ sentence }})
{%- endmacro -%}
{#- Items that go with another -#}
{%- macro bought_together(times) -%} concat('bought together in ', {{ baskets(times) }}) {%- endmacro -%}
{%- macro viewed_together(times) -%} concat('viewed together in ', {{ visits(times) }}) {%- endmacro -%}
{%- macro bought_together_or_sells(times) -%}
    if({{ times }} > 0, {{ bought_together(times) }}, 'among what sells most')
{%- endmacro -%}
{#- lift: how many times as often as by chance. -#}
{%- macro bought_together_by_lift(times, lift) -%}
    concat({{ bought_together(times) }}, ', ', toString(round({{ lift }}, 1)), ' times as often as by chance')
{%- endmacro -%}
{%- macro in_latest_baskets(number) -%}
    concat('bought together in ', toString({{ number }}), ' of the latest baskets')
{%- endmacro -%}
{#- others: how many further items of the visit it goes with. -#}
{%- macro goes_with(item_key, others, times_viewed, times_bought) -%}
    concat(
        'goes with ',
        {{ item_name(item_key) }},
        if({{ others }} > 0, concat(' and ', {{ quantity(others, "other item", "other items") }}), ''),
        ': ',
        if({{ times_viewed }} > 0, {{ viewed_together(times_viewed) }}, ''),
        if({{ times_viewed }} > 0 and {{ times_bought }} > 0, ', ', ''),
        if({{ times_bought }} > 0, {{ bought_together(times_bought) }}, '')
    )
{%- endmacro -%}
{#- first_id: the first item asked about, one of `number`; made_of: baskets, titles, or the shop's own vectors. -#}
{%- macro close_to(first_id, number, made_of) -%}
    concat(
        'close to ',
        coalesce(nullIf(dictGet('catalogue', 'title', cityHash64({{ first_id }})), ''), {{ first_id }}),
        if({{ number }} > 1, concat(' and ', toString({{ number }} - 1), ' more'), ''),
        transform(
            {{ made_of }},
            ['baskets', 'titles'],
            [' in what people buy with it', ' in its words'],
            ' by the vectors of the shop'
        )
    )
{%- endmacro -%}
{#- words: the words that both titles have. -#}
{%- macro same_attributes(same_brand, same_category, near_category, words) -%}
    arrayStringConcat(
        arrayFilter(
            part -> part != '',
            [
                multiIf(
                    {{ same_brand }} and {{ same_category }},
                    'the same brand and category',
                    {{ same_brand }} and {{ near_category }},
                    'the same brand, a category near to it',
                    {{ same_brand }},
                    'the same brand',
                    {{ near_category }} and {{ same_category }},
                    'the same category',
                    {{ near_category }},
                    'a category near to it',
                    ''
                ),
                if(
                    empty({{ words }}),
                    '',
                    concat('also ', arrayStringConcat(arraySlice(arraySort({{ words }}), 1, 3), ' and '))
                )
            ]
        ),
        '; '
    )
{%- endmacro -%}
{#- Items that many want -#}
{%- macro bought_by(users) -%}
    if({{ users }} > 0, concat('bought by ', {{ quantity(users, "person", "people") }}), 'to be discovered')
{%- endmacro -%}
{%- macro bought_times(times) -%}
    if({{ times }} = 0, 'not bought yet', concat('bought ', {{ quantity(times, "time", "times") }}))
{%- endmacro -%}
{%- macro bought_or_viewed(times_bought, times_viewed) -%}
    multiIf(
        {{ times_bought }} > 0,
        concat('bought ', {{ frequency(times_bought) }}),
        {{ times_viewed }} > 0,
        concat('viewed ', {{ frequency(times_viewed) }}),
        'wanted'
    )
{%- endmacro -%}
{%- macro popular_in(times_bought, times_viewed, days) -%}
    concat(
        {{ bought_or_viewed(times_bought, times_viewed) }},
        if({{ days }} = 1, ' today', concat(' in the last ', toString({{ days }}), ' days'))
    )
{%- endmacro -%}
{%- macro popular_in_category(share, category, times_bought, times_viewed, days) -%}
    concat(
        {{ percent(share) }},
        ' of your interest is in ',
        {{ category }},
        ': ',
        {{ bought_or_viewed(times_bought, times_viewed) }},
        ' in the last {{ days }} days'
    )
{%- endmacro -%}
{%- macro new_since(days, times_bought, times_viewed) -%}
    concat(
        'new ',
        {{ days_ago(days) }},
        multiIf(
            {{ times_bought }} > 0,
            concat(', bought ', {{ frequency(times_bought) }}, ' since'),
            {{ times_viewed }} > 0,
            concat(', viewed ', {{ frequency(times_viewed) }}, ' since'),
            ''
        )
    )
{%- endmacro -%}
{%- macro more_than_usual(happened, hours, usual) -%}
    concat(
        {{ events(happened) }},
        ' in ',
        {{ quantity(hours, "hour", "hours") }},
        ', usually ',
        toString(round(assumeNotNull({{ usual }}), 1))
    )
{%- endmacro -%}
{#- What a user did -#}
{%- macro viewed_times(times) -%} concat('viewed ', {{ quantity(times, "time", "times") }}) {%- endmacro -%}
{%- macro bought_regularly(times, interval_days, days_since) -%}
    concat(
        'bought ',
        {{ frequency(times) }},
        ', about every ',
        if(round({{ interval_days }}) <= 1, 'day', concat(toString(round({{ interval_days }})), ' days')),
        ', last ',
        {{ days_ago(days_since) }}
    )
{%- endmacro -%}
{#- item_key is 0 where the row shows that item itself; bought, looked: how often the user did. -#}
{%- macro because_of(item_key, item_id, title, bought, looked) -%}
    concat(
        'because you ',
        if({{ bought }} > 0, 'bought ', 'looked at '),
        multiIf({{ item_key }} = 0, 'it', {{ title }} = '', {{ item_id }}, {{ title }}),
        ', ',
        {{ quantity(first_above_zero(bought, looked), "time", "times") }}
    )
{%- endmacro -%}
{%- macro first_above_zero(one, other) -%} if({{ one }} > 0, {{ one }}, {{ other }}) {%- endmacro -%}
{#- source: the best source of a candidate (candidates.sql). -#}
{%- macro by_source(source, times_bought, because_key, item_key) -%}
    multiIf(
        {{ times_bought }} > 0,
        concat('you bought it ', {{ quantity(times_bought, "time", "times") }}),
        {{ because_key }} != 0,
        concat('goes with ', dictGet('catalogue', 'title', {{ because_key }})),
        {{ source }} = 'alike',
        'people with items like yours want it',
        {{ source }} = 'categories',
        concat('sells well in ', dictGet('catalogue', 'category', {{ item_key }})),
        {{ source }} = 'rising',
        'sells more than usual',
        'sells well'
    )
{%- endmacro -%}
{#- Users -#}
{#- known: the number of items that go with the requested one and that the user has signals for; item_key: the closest of them. -#}
{%- macro interested_in(looked_at_it, known, item_key, days_since) -%}
    concat(
        if({{ looked_at_it }}, 'looked at it', ''),
        if({{ looked_at_it }} and {{ known }} > 0, ' and ', ''),
        multiIf(
            {{ known }} = 0,
            '',
            {{ looked_at_it }},
            concat('knows ', {{ quantity(known, "item that goes with it", "items that go with it") }}),
            {{ known }} = 1,
            concat('knows ', {{ item_name(item_key) }}),
            concat(
                'knows ',
                {{ item_name(item_key) }},
                ' and ',
                {{ quantity(one_less(known), "other item that goes with it", "other items that go with it") }}
            )
        ),
        ', last ',
        {{ days_ago(days_since) }}
    )
{%- endmacro -%}
{%- macro one_less(number) -%}({{ number }} - 1) {%- endmacro -%}
{%- macro suits_you(likes_you, share, category, share_back, own_category) -%}
    concat(
        if({{ likes_you }}, 'likes you already; ', ''),
        {{ percent(share) }},
        ' of your interest is in ',
        {{ category }},
        if({{ likes_you }}, '', concat(', ', {{ percent(share_back) }}, ' of theirs in ', {{ own_category }}))
    )
{%- endmacro -%}
