{#- The ways into a category, from the top: Kitchen/Tea has [Kitchen, Kitchen/Tea]; an item without one has none. -#}
{%- macro ways_into(category) -%}
    arrayFilter(
        way -> way != '',
        arrayMap(
            nth -> arrayStringConcat(arraySlice(splitByChar('/', {{ category }}), 1, nth), '/'),
            arrayEnumerate(splitByChar('/', {{ category }}))
        )
    )
{%- endmacro -%}
{#- How alike each two of some items are, a matrix, by the ways into their categories: 1 in the same category, else the share
    of the longer way that they have in common; items without a category are alike to none. -#}
{%- macro similarities(ways) -%}
    arrayMap(
        one -> arrayMap(
            other -> length(arrayIntersect(one, other)) / greatest(1, length(one), length(other)), {{ ways }}
        ),
        {{ ways }}
    )
{%- endmacro -%}
{#- Maximal marginal relevance (Carbonell and Goldstein 1998): the places of the items, from 1, in the order in which they are
    chosen; each time the greatest (1 - diversity) * relevance - diversity * the greatest similarity to a chosen one, the
    earlier of equals. Not more than `per_category` of a category among `window` in a row, while there are others.
    relevance: an array, 0 to 1; similarity: a matrix; most: how many are chosen. -#}
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
{#- Exploring: (place in the list of candidates, propensity) for each slot. Slot s shows candidate s with 1 - explore, else one
    of those s + slots, s + 2 * slots …, each as likely as the other: no candidate has two slots, so that a slot's propensity,
    how likely this item was in this slot, is exact: 1 - explore, or explore / how many others there are; 1 where there are none.
    
    The dice are a hash of seed, person, list and hour. -#}
{%- macro explored(candidates, slots, explore, seed, person, list) -%}
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
                        'whether', slot, {{ seed }}, {{ person }}, {{ list }}, toStartOfHour({{ now }})
                    )
                    % 1000000
                    < {{ explore }} * 1000000
                    and {{ candidates }} >= slot + {{ slots }},
                    1 + cityHash64(
                        'which', slot, {{ seed }}, {{ person }}, {{ list }}, toStartOfHour({{ now }})
                    )
                    % greatest(1, intDiv({{ candidates }} - slot, {{ slots }})),
                    0
                )
            ]
        )[1],
        range(1, least({{ slots }}, {{ candidates }}) + 1)
    )
{%- endmacro -%}
{#- The upper confidence bound UCB1 (Auer et al. 2002): mean + alpha * sqrt(2 ln(total) / n), for a mean of n out of total
    trials; what was never tried comes first. -#}
{%- macro ucb1(mean, n, total, alpha=1) -%}
    if(
        {{ n }} > 0,
        {{ mean }} + {{ alpha }} * sqrt(2 * ln(greatest(1, {{ total }})) / greatest(1, {{ n }})),
        1e9
    )
{%- endmacro -%}
