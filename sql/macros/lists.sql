{%- from 'catalogue.sql' import available, in_category, item, keys_of, owner -%}
{%- from 'ranking.sql' import explored, mmr, similarities, ways_into -%}
{%- from 'rules.csv' import rules -%}
{#- A column of the lines of sql/rules.csv that name an item and hold today for the pipe that was asked, as an array: the
    engine makes it before it reads a row. -#}
{%- macro of_items(column, rule) -%}
    arrayFilter(
        (value, pipe, since, until) -> pipe in ('*', {{ asked_pipe }})
        and toDate({{ now }}) between since and until,
        {{ rules(column, rule=rule, item_id=true) }},
        {{ rules("pipe", rule=rule, item_id=true) }},
        {{ rules("from", rule=rule, item_id=true) }},
        {{ rules("until", rule=rule, item_id=true) }}
    )
{%- endmacro -%}
{#- The same of the lines that name a category. -#}
{%- macro of_categories(column, rule) -%}
    arrayFilter(
        (value, pipe, since, until) -> pipe in ('*', {{ asked_pipe }})
        and toDate({{ now }}) between since and until,
        {{ rules(column, rule=rule, category=true) }},
        {{ rules("pipe", rule=rule, category=true) }},
        {{ rules("from", rule=rule, category=true) }},
        {{ rules("until", rule=rule, category=true) }}
    )
{%- endmacro -%}
{#- What every list obeys: whether an item may stand in it. Only what can be bought now; nothing that a rule hides or
    that is excluded; and what the filters of a request say. A filter that was not given, or is not passed, says nothing. -#}
{%- macro may_show(item_key, exclude="", category="", min_price="", max_price="", brand="") -%}
    (
        {{ available(item_key) }}
        {% if rules(rule="hide", item_id=true) %}
            and not has(arrayMap(one -> cityHash64(one), {{ of_items("item_id", "hide") }}), {{ item_key }})
        {% endif %}
        {% if rules(rule="hide", category=true) %}
            and not arrayExists(
                one -> startsWith(concat({{ item("category", item_key) }}, '/'), concat(one, '/')),
                {{ of_categories("category", "hide") }}
            )
        {% endif %}
        {% if exclude %} and {{ item_key }} not in {{ keys_of(exclude) }} {% endif %}
        {% if category %} and {{ in_category(item_key, category) }} {% endif %}
        {% if min_price %} and {{ item("price", item_key) }} >= {{ min_price }} {% endif %}
        {% if max_price %} and {{ item("price", item_key) }} <= {{ max_price }} {% endif %}
        {% if brand %} and {{ item("brand", item_key) }} in {{ brand }} {% endif %}
    )
{%- endmacro -%}
{#- Whether an item is still to be offered to a person: never what they offer themselves. leave_out says what is not: `bought`, what they bought or dislike;
    `seen`, also what they viewed, clicked or carted; `nothing`. -#}
{%- macro new_to(item_key, user_id, leave_out) -%}
    (
        {{ owner("owner_key", item_key) }} != cityHash64({{ user_id }})
        and {{ item_key }} not in (
            select cityHash64(item_id)
            from user_items
            where
                user_id = {{ user_id }}
                and (
                    ({{ leave_out }} != 'nothing' and event_type in ('purchase', 'dislike'))
                    or ({{ leave_out }} = 'seen' and event_type in ('view', 'click', 'add_to_cart'))
                )
            group by item_id
            having sum(events) > 0
        )
    )
{%- endmacro -%}
{#- The score of an item, times the factors of the boost rules that name it or a category that it is in. A score below zero is
    divided by them: to boost is never to lose. -#}
{%- macro boosted(item_key, score) -%}
    {{ score }}
    {% if rules(rule="boost") %}
        * pow(
            greatest(
                1e-6,
                arrayProduct(
                    arrayConcat(
                        [1.],
                        arrayMap(
                            (one, factor) -> if(one = {{ item_key }}, assumeNotNull(factor), 1.),
                            arrayMap(one -> cityHash64(one), {{ of_items("item_id", "boost") }}),
                            {{ of_items("value", "boost") }}
                        ),
                        arrayMap(
                            (one, factor) -> if(
                                startsWith(concat({{ item("category", item_key) }}, '/'), concat(one, '/')),
                                assumeNotNull(factor),
                                1.
                            ),
                            {{ of_categories("category", "boost") }},
                            {{ of_categories("value", "boost") }}
                        )
                    )
                )
            ),
            if({{ score }} < 0, -1, 1)
        )
    {% endif %}
{%- endmacro -%}
{#- The score of an item for a person, less for what they were shown and did not take up: n impressions of an item that they
    never clicked, viewed or anything else make 2^(-n / 5) of it, five of them a half; a week without any makes n half as large.
    rotate: whether to. -#}
{%- macro rotated(item_key, score, user_id, rotate="true") -%}
    {{ score }} * coalesce(nullIf({{ tired_of(user_id, rotate) }} [{{ item_key }}], 0), 1)
{%- endmacro -%}
{#- What a person was shown in vain, and what is left of each score, as a map: one value, made once for a query. -#}
{%- macro tired_of(user_id, rotate) -%}
    (
        select mapFromArrays(groupArray(shown_key), groupArray(factor))
        from
            (
                select
                    cityHash64(item_id) as shown_key,
                    exp2(
                        - sum(user_items.events)
                        * exp2(- greatest(0, dateDiff('hour', max(last_time), {{ now }})) / 168)
                        / 5
                    ) as factor
                from user_items
                where user_id = {{ user_id }} and {{ rotate }}
                group by item_id
                having countIf(event_type != 'impression') = 0
            )
    )
{%- endmacro -%}
{#- Ranked rows with their place in the list: rows of `ranked` with the columns place, propensity and pinned. Order by place,
    then as without it. Nothing is done, and every place is 0, unless a rule pins or the request asks for something of it:
    diversity (0 to 1) and per_category within any `window`: `mmr` in ranking.sql, among the first 100;
    explore, the share of slots, with seed: `explored` there; it is the same for a person within an hour.
    ranked: a WITH, with item_key, a score, and an order that tells its rows apart; by: what makes a list, where there are
    several; may_pin: a condition on pinned_key; limit: the length of a list. A pinned row that is no candidate has item_key
    and nothing else. -#}
{%- macro in_places(
    ranked,
    item_key,
    score,
    order,
    limit,
    may_pin="true",
    by="",
    diversity="",
    per_category="",
    window="10",
    explore="",
    seed="0",
    person="''"
) -%}
    {% if not (diversity or per_category or explore or rules(rule="pin")) %}
        select *, 0 as place, 1. as propensity, false as pinned from {{ ranked }}
    {% else %}
        select *
        from
            (
                select
                    {% if by %} list_key as {{ by }},
                    {% endif %}
                    tupleElement(slot, 1) as {{ item_key }},
                    tupleElement(slot, 2) as place,
                    tupleElement(slot, 3) as propensity,
                    tupleElement(slot, 4) as pinned
                from
                    (
                        with
                            {{ pins(may_pin) }} as pins,
                            arrayMap(pin -> tupleElement(pin, 1), pins) as pin_keys,
                            arrayMap(pin -> tupleElement(pin, 2), pins) as pin_places,
                            arrayFilter(
                                one -> not has(pin_keys, tupleElement(one, 2)),
                                arraySort(groupArray((nth, candidate_key, candidate_score)))
                            ) as candidates,
                            arrayMap(one -> tupleElement(one, 2), candidates) as keys,
                            arrayMap(one -> tupleElement(one, 3), candidates) as scores,
                            {% if diversity or per_category %}
                                least(0, arrayMin(scores)) as lowest,
                                greatest(1e-9, arrayMax(scores) - lowest) as spread,
                                arrayMap(one -> (one - lowest) / spread, scores) as relevance,
                                arrayMap(one -> {{ ways_into(item("category", "one")) }}, keys) as ways,
                                {{ similarities("ways") }} as alike,
                                {{
                                    mmr(
                                        "relevance",
                                        "alike",
                                        diversity if diversity else "0",
                                        limit,
                                        "ways",
                                        per_category,
                                        window,
                                    )
                                }} as chosen,
                                arrayConcat(
                                    chosen, arrayFilter(one -> not has(chosen, one), arrayEnumerate(keys))
                                ) as ordered,
                            {% else %} arrayEnumerate(keys) as ordered,
                            {% endif %}
                            arrayFilter(one -> not has(pin_places, one), range(1, {{ limit }} + 1)) as free,
                            {% if explore %}
                                {{
                                    explored(
                                        "length(keys)", "length(free)", explore, seed, person, "list_key"
                                    )
                                }}
                            {% else %}
                                arrayMap(one -> (one, 1.), range(1, least(length(free), length(keys)) + 1))
                            {% endif %} as turns
                        select
                            list_key,
                            arrayJoin(
                                arrayConcat(
                                    arrayMap(
                                        (one, to_place) -> (
                                            keys[ordered[tupleElement(one, 1)]],
                                            to_place,
                                            tupleElement(one, 2),
                                            false
                                        ),
                                        turns,
                                        arraySlice(free, 1, length(turns))
                                    ),
                                    arrayMap(
                                        (one, to_place) -> (one, to_place, 1., true), pin_keys, pin_places
                                    )
                                )
                            ) as slot
                        from
                            (
                                select
                                    {{ by if by else "''" }} as list_key,
                                    {{ item_key }} as candidate_key,
                                    assumeNotNull({{ score }}) as candidate_score,
                                    row_number() over (partition by list_key order by {{ order }}) as nth
                                from {{ ranked }}
                            )
                        where nth <= 100
                        group by list_key
                    )
            ) as slots
        left join {{ ranked }} using ({{ item_key }}{% if by %}, {{ by }} {% endif %})
    {% endif %}
{%- endmacro -%}
{#- A number and what it counts, for a reason: 1 basket, 42 baskets. `before` and `after`: words around it. -#}
{%- macro counted(number, one, many, before="", after="") -%}
    concat(
        '{{ before }}',
        toString({{ number }}),
        if({{ number }} = 1, ' {{ one }}', ' {{ many }}'),
        '{{ after }}'
    )
{%- endmacro -%}
{#- The reason of a row that a rule has pinned. -#}
{%- macro picked() -%} 'picked by the shop' {%- endmacro -%}
{#- Why a row stands in a list: the words, or that the shop wants it so. -#}
{%- macro because(words) -%} if(pinned, {{ picked() }}, {{ words }}) {%- endmacro -%}
{#- The keys that rules pin, each with its place: as the rule says, or behind the pin that is there already. -#}
{%- macro pins(may_pin) -%}
    {% if rules(rule="pin") %}
        (
            select
                arrayZip(
                    arrayMap(pin -> tupleElement(pin, 2), wishes),
                    arrayFold(
                        (taken, pin)
                        -> arrayPushBack(taken, greatest(toUInt64(tupleElement(pin, 1)), taken[-1] + 1)),
                        wishes,
                        cast([], 'Array(UInt64)')
                    )
                )
            from
                (
                    select arraySort(groupArray((wish, pinned_key))) as wishes
                    from
                        (
                            select
                                arrayJoin(
                                    arrayZip({{ of_items("item_id", "pin") }}, {{ of_items("value", "pin") }})
                                ) as pin,
                                cityHash64(tupleElement(pin, 1)) as pinned_key,
                                assumeNotNull(tupleElement(pin, 2)) as wish
                        )
                    where {{ may_pin }}
                )
        )
    {% else %} cast([], 'Array(Tuple(UInt64, UInt64))')
    {% endif %}
{%- endmacro -%}
