{%- from 'catalogue.sql' import available, group_of, groups_of, in_category, in_currency, item, owner -%}
{%- from 'ranking.sql' import category_paths, category_similarities, explored, mmr, with_new_items -%}
{%- from 'rules.csv' import rules -%}
{#- Number of impressions without an event that halve a score. -#}
{%- set impressions_that_halve = 5 -%}
{#- A week without an impression halves the number that counts. -#}
{%- set recovery_half_life_hours = 168 -%}
{#- Number of candidates among which diversity, quotas and exploration choose. -#}
{%- set reranked_candidates = 100 -%}
{#- Days for which an item is new to `explore_new`, and the number of such items, the newest, that it chooses among. -#}
{%- set new_days = 30 -%}
{%- set max_new_items = 40 -%}
{#- sql/rules.csv: a column of the rules about items that hold today for the pipe that was asked, as an array. -#}
{%- macro item_rules(column, rule) -%}
    arrayFilter(
        (value, pipe, since, until) -> pipe in ('*', {{ asked_pipe }})
        and toDate({{ now }}) between since and until,
        {{ rules(column, rule=rule, item_id=true) }},
        {{ rules("pipe", rule=rule, item_id=true) }},
        {{ rules("from", rule=rule, item_id=true) }},
        {{ rules("until", rule=rule, item_id=true) }}
    )
{%- endmacro -%}
{#- The same for the rules about categories. -#}
{%- macro category_rules(column, rule) -%}
    arrayFilter(
        (value, pipe, since, until) -> pipe in ('*', {{ asked_pipe }})
        and toDate({{ now }}) between since and until,
        {{ rules(column, rule=rule, category=true) }},
        {{ rules("pipe", rule=rule, category=true) }},
        {{ rules("from", rule=rule, category=true) }},
        {{ rules("until", rule=rule, category=true) }}
    )
{%- endmacro -%}
{#- True if a list may show an item: it can be bought now, no rule hides it, and it passes the filters of the request
    (sql/parameters/filters.sql), which a pipe passes as **filters. A filter that is not given lets every item pass. -#}
{%- macro is_eligible(
    item_key,
    exclude="",
    category="",
    brand="",
    min_price="",
    max_price="",
    tags="",
    currency=""
) -%}
    (
        {{ available(item_key) }}
        {% if rules(rule="hide", item_id=true) %}
            and not has(arrayMap(one -> cityHash64(one), {{ item_rules("item_id", "hide") }}), {{ item_key }})
        {% endif %}
        {% if rules(rule="hide", category=true) %}
            and not arrayExists(
                one -> startsWith(concat({{ item("category", item_key) }}, '/'), concat(one, '/')),
                {{ category_rules("category", "hide") }}
            )
        {% endif %}
        {% if exclude %} and {{ group_of(item_key) }} not in {{ groups_of(exclude) }} {% endif %}
        {% if category %} and {{ in_category(item_key, category) }} {% endif %}
        {% if min_price or max_price %} and {{ in_currency(item_key, currency) }} {% endif %}
        {% if min_price %} and {{ item("price", item_key) }} >= {{ min_price }} {% endif %}
        {% if max_price %} and {{ item("price", item_key) }} <= {{ max_price }} {% endif %}
        {% if brand %} and {{ item("brand", item_key) }} in {{ brand }} {% endif %}
        {% if tags %} and hasAny({{ item("tags", item_key) }}, {{ tags }}) {% endif %}
    )
{%- endmacro -%}
{#- True if an event puts its item into the part of a history that exclude_history names. -#}
{%- macro in_history(event_type, exclude_history) -%}
    (
        ({{ exclude_history }} != 'nothing' and {{ event_type }} in ('purchase', 'dislike'))
        or ({{ exclude_history }} = 'seen' and {{ event_type }} in ('view', 'click', 'add_to_cart'))
    )
{%- endmacro -%}
{#- True if an item is new to a user: not their own offer, and not in the part of their history that exclude_history names:
    `bought` are bought or disliked items, `seen` also those viewed, clicked or carted, `nothing` none. Nor is a variant of one. -#}
{%- macro is_unseen(item_key, user_id, exclude_history) -%}
    (
        {{ owner("owner_key", item_key) }} != cityHash64({{ user_id }})
        and {{ group_of(item_key) }} not in (
            select {{ group_of("one.item_key") }}
            from user_history
            array join items as one
            where user_id = {{ user_id }} and {{ in_history("one.event_type", exclude_history) }}
        )
    )
{%- endmacro -%}
{#- The groups of items in that part of the history of one or several users: a map {user_id: groups}. Lists of several users need it,
    where `is_unseen` is for one. -#}
{%- macro past_groups(users, exclude_history) -%}
    (
        select mapFromArrays(groupArray(user_id), groupArray(past))
        from
            (
                select user_id, groupUniqArray({{ group_of("one.item_key") }}) as past
                from user_history
                array join items as one
                where
                    user_id in (select arrayJoin(arrayFlatten([{{ users }}])))
                    and {{ in_history("one.event_type", exclude_history) }}
                group by user_id
            )
    )
{%- endmacro -%}
{#- A score times the factors of the boost rules for the item and its categories. A score below zero is divided by them: a
    boost never lowers an item. -#}
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
                            arrayMap(one -> cityHash64(one), {{ item_rules("item_id", "boost") }}),
                            {{ item_rules("value", "boost") }}
                        ),
                        arrayMap(
                            (one, factor) -> if(
                                startsWith(concat({{ item("category", item_key) }}, '/'), concat(one, '/')),
                                assumeNotNull(factor),
                                1.
                            ),
                            {{ category_rules("category", "boost") }},
                            {{ category_rules("value", "boost") }}
                        )
                    )
                )
            ),
            if({{ score }} < 0, -1, 1)
        )
    {% endif %}
{%- endmacro -%}
{#- A score, discounted for impression fatigue: n impressions without a click, a view or anything else leave 2^(-n / 5) of it.
    A week without an impression halves n. rotate: a Bool that turns this on. -#}
{%- macro discounted(item_key, score, user_id, rotate="true") -%}
    {{ score }} * coalesce(nullIf({{ impression_fatigue(user_id, rotate) }} [{{ item_key }}], 0), 1)
{%- endmacro -%}
{#- The factor that so many impressions leave of a score, the last of them at `shown_at`. -#}
{%- macro fatigue(impressions, shown_at) -%}
    exp2(
        - {{ impressions }}
        * exp2(- greatest(0, dateDiff('hour', {{ shown_at }}, {{ now }})) / {{ recovery_half_life_hours }})
        / {{ impressions_that_halve }}
    )
{%- endmacro -%}
{#- The fatigue factors of a user, a map {item_key: factor}: one value, calculated once in a query. -#}
{%- macro impression_fatigue(user_id, rotate) -%}
    (
        select mapFromArrays(groupArray(shown_key), groupArray(factor))
        from
            (
                select
                    cityHash64(item_id) as shown_key,
                    {{ fatigue("sum(user_items.events)", "max(last_time)") }} as factor
                from user_items
                where user_id = {{ user_id }} and {{ rotate }}
                group by item_id
                having countIf(event_type != 'impression') = 0
            )
    )
{%- endmacro -%}
{#- Of each group of variants the one row that comes first in this order; every list ends with it. In a SELECT it follows WHERE
    and precedes ORDER BY. by: the key column of the lists, if there are several. -#}
{%- macro one_of_each_group(item_key, order, by="") -%}
    {% if has_variants %}
        qualify
            row_number() over (
                partition by {% if by %} {{ by }}, {% endif %} {{ group_of(item_key) }} order by {{ order }}
            )
            = 1
    {% endif %}
{%- endmacro -%}
{#- The rows of `ranked`, one of each group. -#}
{%- macro distinct_groups(ranked, item_key, order, by="") -%}
    {% if has_variants %}
        (select * from {{ ranked }} {{ one_of_each_group(item_key, order, by) }}) as {{ ranked }}
    {% else %} {{ ranked }}
    {% endif %}
{%- endmacro -%}
{#- The first rows of `ranked`, re-ranked: with the columns position, propensity, pinned and
    is_new_item. Order by position, then as before.
    Without a pin rule and without a parameter of sql/parameters/reranking.sql every position is 0 and nothing changes.
    Diversity and quotas (`mmr`) and exploration (`explored`) are in ranking.sql, among the first 100 rows; new items (`with_new_items`)
    may be any. A limit above 100, for a
    late page of a list, appends further rows in their order.

    ranked: a CTE with item_key, a score, and an order without ties. by: the key column of the lists, if there are several.
    may_pin: a condition on pinned_key. limit: the length of a list. A pinned row, or one of a new item, that is not a candidate has
    item_key and no other column. past: the `past_groups` of the users of the lists, of which no new item is. about_items: the lists are about the items of `by`, which no pin may show, nor a variant. first_of_group: the order that decides which item of a group of variants stands for it, if it is another. -#}
{%- macro reranked(
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
    explore_new="",
    user_id="''",
    first_of_group="",
    about_items="",
    past=""
) -%}
    {% if not (diversity or per_category or explore or explore_new or rules(rule="pin")) %}
        select *, 0 as position, 1. as propensity, false as pinned, false as is_new_item
        from {{ ranked }} {{ one_of_each_group(item_key, first_of_group or order, by) }}
        order by {{ order }}
        limit {{ limit }}{% if by %} by {{ by }}{% endif %}
    {% else %}
        select *
        from
            (
                select
                    {% if by %} list_key as {{ by }},
                    {% endif %}
                    tupleElement(slot, 1) as {{ item_key }},
                    tupleElement(slot, 2) as position,
                    tupleElement(slot, 3) as propensity,
                    tupleElement(slot, 4) as pinned,
                    tupleElement(slot, 5) as is_new_item
                from
                    (
                        with
                            {% if about_items %}
                                arrayFilter(
                                    pin -> {{ group_of("tupleElement(pin, 1)") }}
                                    != {{ group_of("list_key") }},
                                    {{ pinned_positions(may_pin) }}
                                )
                            {% else %} {{ pinned_positions(may_pin) }}
                            {% endif %} as pins,
                            arrayMap(pin -> tupleElement(pin, 1), pins) as pin_keys,
                            arrayMap(pin -> tupleElement(pin, 2), pins) as pin_positions,
                            arrayMap(pin -> {{ group_of("pin") }}, pin_keys) as pinned_groups,
                            arrayFilter(
                                one -> not has(pinned_groups, {{ group_of("tupleElement(one, 2)") }}),
                                arraySort(groupArray((nth, candidate_key, candidate_score)))
                            ) as candidates,
                            arrayMap(one -> tupleElement(one, 2), candidates) as keys,
                            arrayMap(one -> tupleElement(one, 3), candidates) as scores,
                            {% if diversity or per_category %}
                                arraySlice(keys, 1, {{ reranked_candidates }}) as first_keys,
                                arraySlice(scores, 1, {{ reranked_candidates }}) as first_scores,
                                least(0, arrayMin(first_scores)) as lowest,
                                greatest(1e-9, arrayMax(first_scores) - lowest) as spread,
                                arrayMap(one -> (one - lowest) / spread, first_scores) as relevance,
                                arrayMap(
                                    one -> {{ category_paths(item("category", "one")) }}, first_keys
                                ) as paths,
                                {{ category_similarities("paths") }} as similarity,
                                {{
                                    mmr(
                                        "relevance",
                                        "similarity",
                                        diversity if diversity else "0",
                                        limit,
                                        "paths",
                                        per_category,
                                        window,
                                    )
                                }} as chosen,
                                arrayConcat(
                                    chosen, arrayFilter(one -> not has(chosen, one), arrayEnumerate(keys))
                                ) as ordered,
                            {% else %} arrayEnumerate(keys) as ordered,
                            {% endif %}
                            arrayFilter(
                                one -> not has(pin_positions, one), range(1, {{ limit }} + 1)
                            ) as free,
                            {% if explore %}
                                {{
                                    explored(
                                        "length(keys)", "length(free)", explore, seed, user_id, "list_key"
                                    )
                                }}
                            {% else %}
                                arrayMap(one -> (one, 1.), range(1, least(length(free), length(keys)) + 1))
                            {% endif %} as turns
                            {% if explore_new %}
                                ,
                                arrayFilter(
                                    one -> {{ owner("owner_key", "tupleElement(one, 1)") }}
                                    != cityHash64({{ user_id }})
                                    and not has(
                                        arrayConcat(
                                            pinned_groups,
                                            {% if past %} {{ past }} [{{ user_id }}], {% endif %}
                                            {% if about_items %} [{{ group_of("list_key") }}], {% endif %}
                                            arrayMap(
                                                key -> {{ group_of("key") }},
                                                {% if explore or diversity or per_category %} keys
                                                {% else %} arraySlice(keys, 1, length(turns))
                                                {% endif %}
                                            )
                                        ),
                                        {{ group_of("tupleElement(one, 1)") }}
                                    ),
                                    {{ new_items_tried(may_pin) }}
                                ) as news,
                                {{
                                    with_new_items(
                                        "turns",
                                        "news",
                                        explore_new,
                                        seed,
                                        user_id,
                                        "list_key",
                                    )
                                }} as chances
                            {% endif %}
                        select
                            list_key,
                            arrayJoin(
                                arrayConcat(
                                    arrayMap(
                                        (one, to_position) -> (
                                            {% if explore_new %}
                                                if(
                                                    tupleElement(one, 1) = 0,
                                                    tupleElement(one, 3),
                                                    keys[ordered[greatest(1, tupleElement(one, 1))]]
                                                ),
                                            {% else %}keys[ordered[tupleElement(one, 1)]],
                                            {% endif %}
                                            to_position,
                                            tupleElement(one, 2),
                                            false,
                                            {% if explore_new %} tupleElement(one, 1) = 0
                                            {% else %} false
                                            {% endif %}
                                        ),
                                        {% if explore_new %} chances,
                                        {% else %} turns,
                                        {% endif %}
                                        arraySlice(free, 1, length(turns))
                                    ),
                                    arrayMap(
                                        (one, to_position) -> (one, to_position, 1., true, false),
                                        pin_keys,
                                        pin_positions
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
                                from {{ distinct_groups(ranked, item_key, first_of_group or order, by) }}
                            )
                        where nth <= greatest({{ reranked_candidates }}, {{ limit }})
                        group by list_key
                    )
            ) as slots
        left join
            {{ distinct_groups(ranked, item_key, first_of_group or order, by) }} using (
                {{ item_key }}{% if by %}, {{ by }} {% endif %}
            )
        order by position, {{ order }}
        limit {{ limit }}{% if by %} by {{ by }}{% endif %}
    {% endif %}
{%- endmacro -%}
{#- The pinned keys and their positions: that of the rule, or the next one if another pin has it. -#}
{%- macro pinned_positions(may_pin) -%}
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
                                    arrayZip(
                                        {{ item_rules("item_id", "pin") }}, {{ item_rules("value", "pin") }}
                                    )
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
{#- The items published in the last days, as far as the table `items` alone shows it; a condition on its rows. -#}
{%- macro is_recent() -%}
    ifNull(items.published_at, items.first_seen) >= {{ now }} - toIntervalDay({{ new_days }})
{%- endmacro -%}
{#- The newest items that a list may show, an array of (item_key, clicks, impressions) since they are new: one of each group. `may_pin`
    is a condition on pinned_key. Items of the first load of a catalogue are not new.
    Counts are those of clients, as often as these send them: touches has each once, but in the order of days and users, so that a list
    would read a month of all items. -#}
{%- macro new_items_tried(may_pin) -%}
    (
        select groupArray((pinned_key, clicks, impressions))
        from
            (
                select
                    pinned_key,
                    sumIf(tries.times, tries.kind = 'click') as clicks,
                    sumIf(tries.times, tries.kind = 'impression') as impressions
                from
                    (
                        select pinned_key, max(listed) as listed_last
                        from
                            (
                                select
                                    cityHash64(items.item_id) as pinned_key,
                                    {{ item("listed_since", "pinned_key") }} as listed
                                from items
                                where
                                    {{ is_recent() }}
                                    and not {{ item("with_first_load", "pinned_key") }}
                                    and listed <= toDate({{ now }})
                                    and {{ may_pin }}
                                order by listed desc, pinned_key
                                limit 1 by {{ group_of("pinned_key") }}
                            )
                        group by pinned_key
                        order by listed_last desc, pinned_key
                        limit {{ max_new_items }}
                    ) as fresh
                left join
                    (
                        select item_key as tried_key, event_type as kind, sum(events) as times
                        from daily_popularity
                        where
                            day > toDate({{ now }}) - {{ new_days }}
                            and day <= toDate({{ now }})
                            and event_type in ('click', 'impression')
                            and item_key
                            in (select cityHash64(items.item_id) from items where {{ is_recent() }})
                        group by tried_key, kind
                    ) as tries
                    on tries.tried_key = fresh.pinned_key
                group by pinned_key
                order by cityHash64(pinned_key, toStartOfHour({{ now }}))
            )
    )
{%- endmacro -%}
