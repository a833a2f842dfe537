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
