{#- The paths of a category and of those above it: Kitchen/Tea has [Kitchen, Kitchen/Tea]; no category has none. -#}
{%- macro category_paths(category) -%}
    arrayFilter(
        path -> path != '',
        arrayMap(
            nth -> arrayStringConcat(arraySlice(splitByChar('/', {{ category }}), 1, nth), '/'),
            arrayEnumerate(splitByChar('/', {{ category }}))
        )
    )
{%- endmacro -%}
{#- The pairwise similarity of items by their category paths, a matrix: 1 in the same category, else the shared part of the
    longer path; 0 without a category. -#}
{%- macro category_similarities(paths) -%}
    arrayMap(
        one -> arrayMap(
            other -> length(arrayIntersect(one, other)) / greatest(1, length(one), length(other)), {{ paths }}
        ),
        {{ paths }}
    )
{%- endmacro -%}
{#- Maximal marginal relevance (Carbonell and Goldstein 1998): the indexes of the items, from 1, in the order of choice. Each
    step takes the greatest (1 - diversity) * relevance - diversity * (greatest similarity to a chosen item), the earlier of
    equals, and at most `per_category` of one category among any `window` neighbours while there are others.
    relevance: an array of values from 0 to 1; similarity: a matrix; most: how many to choose. -#}
{%- macro mmr(relevance, similarity, diversity, most, categories="", per_category="", window="") -%}
    tupleElement(
        arrayFold(
            (so_far, step) -> arrayMap(
                best -> (
                    arrayPushBack(tupleElement(so_far, 1), best),
                    arrayMap(
                        (near, similar) -> greatest(near, similar),
                        tupleElement(so_far, 2),
                        ({{ similarity }})[best]
                    )
                ),
                [
                    arrayReduce(
                        'argMax',
                        arrayEnumerate({{ relevance }}),
                        arrayMap(
                            (relevant, near, at) -> multiIf(
                                has(tupleElement(so_far, 1), at),
                                -1e9,
                                {% if per_category %}
                                    arrayCount(
                                        before -> ({{ categories }})[before] = ({{ categories }})[at],
                                        arraySlice(
                                            tupleElement(so_far, 1),
                                            1 - least({{ window }}, length(tupleElement(so_far, 1)) + 1)
                                        )
                                    )
                                    >= {{ per_category }},
                                    -1e6 + relevant,
                                {% endif %}
                                (1 - {{ diversity }}) * relevant - {{ diversity }} * near
                            ),
                            {{ relevance }},
                            tupleElement(so_far, 2),
                            arrayEnumerate({{ relevance }})
                        )
                    )
                ]
            )[1],
            range(least({{ most }}, length({{ relevance }}))),
            (cast([], 'Array(UInt32)'), arrayMap(relevant -> 0., {{ relevance }}))
        ),
        1
    )
{%- endmacro -%}
{#- Exploration: (rank of the candidate, propensity) for each slot. Slot s shows candidate s with probability 1 - explore, else
    one of the candidates s + slots, s + 2 * slots … with equal probability. No candidate belongs to two slots, so the
    propensity of an item in its slot is exact: 1 - explore, or explore / (number of alternatives); 1 without alternatives.
    The random choice is a hash of seed, user, list and hour. -#}
{%- macro explored(candidates, slots, explore, seed, user_id, list) -%}
    arrayMap(
        slot -> arrayMap(
            (others, turn) -> (
                slot + turn * {{ slots }},
                multiIf(others = 0, 1., turn = 0, 1. - {{ explore }}, {{ explore }} / others)
            ),
            [intDiv({{ candidates }} - slot, {{ slots }})],
            [
                if(
                    cityHash64(
                        'whether', slot, {{ seed }}, {{ user_id }}, {{ list }}, toStartOfHour({{ now }})
                    )
                    % 1000000
                    < {{ explore }} * 1000000
                    and {{ candidates }} >= slot + {{ slots }},
                    1 + cityHash64(
                        'which', slot, {{ seed }}, {{ user_id }}, {{ list }}, toStartOfHour({{ now }})
                    )
                    % greatest(1, intDiv({{ candidates }} - slot, {{ slots }})),
                    0
                )
            ]
        )[1],
        range(1, least({{ slots }}, {{ candidates }}) + 1)
    )
{%- endmacro -%}
{#- The upper confidence bound UCB1 (Auer et al. 2002): mean + alpha * sqrt(2 ln(total) / n) for a mean of n out of total
    trials. An item that was never tried comes first. -#}
{%- macro ucb1(mean, n, total, alpha=1) -%}
    if(
        {{ n }} > 0,
        {{ mean }} + {{ alpha }} * sqrt(2 * ln(greatest(1, {{ total }})) / greatest(1, {{ n }})),
        1e9
    )
{%- endmacro -%}
{#- The number of values that a click rate may have for `thompson`: the squares of (0.5, 1.5 …) / 128, finest where rates are low. -#}
{%- set rate_values = 128 -%}
{#- Beta(1 + clicks, 1 + passes) over the values of a click rate, as an array of probabilities. passes: impressions without a click. -#}
{%- macro rate_masses(clicks, passes) -%}
    arrayMap(
        logs -> arrayMap(
            masses -> arrayMap(mass -> mass / arraySum(masses), masses),
            [arrayMap(one -> exp(one - arrayMax(logs)), logs)]
        )[1],
        [
            arrayMap(
                cell
                -> 2 * {{ clicks }} * ln((cell + 0.5) / {{ rate_values }})
                + {{ passes }} * ln(1 - pow((cell + 0.5) / {{ rate_values }}, 2))
                + ln(cell + 0.5),
                range({{ rate_values }})
            )
        ]
    )[1]
{%- endmacro -%}
{#- Thompson sampling (Thompson 1933; Chapelle and Li 2011): (index of the item with the highest draw of a click rate, the probability
    of that), for items with (item_key, clicks, impressions). Of equal draws the first wins. With F the cumulated and p the single
    masses, item i wins with the sum over all values v of p_i(v) * the product of F_j before v for j < i and of F_j at v for j > i:
    the exact probability, since draws have few values. -#}
{%- macro thompson(items, seed, user_id, list) -%}
    arrayMap(
        masses -> arrayMap(
            sums -> arrayMap(
                winner -> (
                    winner,
                    arraySum(
                        arrayMap(
                            (mass, value)
                            -> mass
                            * arrayProduct(
                                arrayMap(
                                    (sum, other) -> multiIf(
                                        other = winner,
                                        1.,
                                        other > winner,
                                        sum[value],
                                        value = 1,
                                        0.,
                                        sum[greatest(1, value - 1)]
                                    ),
                                    sums,
                                    arrayEnumerate(sums)
                                )
                            ),
                            masses[winner],
                            arrayEnumerate(masses[winner])
                        )
                    )
                ),
                [
                    arrayReduce(
                        'argMax',
                        arrayEnumerate(sums),
                        arrayMap(
                            (sum, one, number) -> arrayMap(
                                item_key -> (
                                    arrayCount(
                                        reached -> reached < (
                                            cityHash64(
                                                'draw',
                                                item_key,
                                                {{ seed }},
                                                {{ user_id }},
                                                {{ list }},
                                                toStartOfHour({{ now }})
                                            )
                                            % 1000000
                                            + 0.5
                                        )
                                        / 1000000,
                                        sum
                                    ),
                                    - number
                                ),
                                [tupleElement(one, 1)]
                            )[1],
                            sums,
                            {{ items }},
                            arrayEnumerate(sums)
                        )
                    )
                ]
            )[1],
            [arrayMap(mass -> arrayCumSum(mass), masses)]
        )[1],
        [
            arrayMap(
                one
                -> {{
                    rate_masses(
                        "least(tupleElement(one, 2), tupleElement(one, 3))",
                        "greatest(0, tupleElement(one, 3) - tupleElement(one, 2))",
                    )
                }},
                {{ items }}
            )
        ]
    )[1]
{%- endmacro -%}
{#- Exploration of new items: `turns` (rank, propensity), of which each shows instead, with the probability explore_new, the winner by
    `thompson` of the new items that are dealt to its slot, with `first` + the index of the item as its rank. The hour deals each item to
    one slot by a hash, so that the propensity of an item in its slot is exact: explore_new times its probability to win. The random
    choice is a hash of seed, user, list and hour. news: an array of (item_key, clicks, impressions). -#}
{%- macro with_new_items(turns, news, first, explore_new, seed, user_id, list) -%}
    arrayMap(
        (given, tries) -> arrayMap(
            (turn, slot) -> arrayMap(
                (dealt, is_new) -> arrayMap(
                    tried -> if(
                        empty(tried),
                        (
                            tupleElement(turn, 1),
                            tupleElement(turn, 2) * if(empty(dealt), 1., 1. - {{ explore_new }})
                        ),
                        arrayMap(
                            won -> (
                                toUInt64({{ first }} + indexOf(tries, tried[tupleElement(won, 1)])),
                                {{ explore_new }} * tupleElement(won, 2)
                            ),
                            [{{ thompson("tried", seed, user_id, list) }}]
                        )[1]
                    ),
                    [if(is_new, dealt, arraySlice(dealt, 1, 0))]
                )[1],
                [
                    arrayFilter(
                        one
                        -> 1
                        + cityHash64('slot', tupleElement(one, 1), {{ list }}, toStartOfHour({{ now }}))
                        % length(given)
                        = slot,
                        tries
                    )
                ],
                [
                    cityHash64('new', slot, {{ seed }}, {{ user_id }}, {{ list }}, toStartOfHour({{ now }}))
                    % 1000000
                    < {{ explore_new }} * 1000000
                ]
            )[1],
            given,
            arrayEnumerate(given)
        ),
        [{{ turns }}],
        [{{ news }}]
    )[1]
{%- endmacro -%}
