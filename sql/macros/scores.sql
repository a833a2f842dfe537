{#- How strongly two items belong together, from counts: c groups (orders, sessions) hold both, n_a the first, n_b the other, n is
    all groups. n_a and n_b are above 0, and c is at most the smaller of them. Item totals have them all. -#}
{#- Salton's cosine. -#}
{%- macro cosine(c, n_a, n_b) -%} {{ c }} / sqrt(toFloat64({{ n_a }}) * {{ n_b }}) {%- endmacro -%}
{#- Jaccard's index: groups with both among the groups with either. -#}
{%- macro jaccard(c, n_a, n_b) -%} {{ c }} / ({{ n_a }} + {{ n_b }} - {{ c }}) {%- endmacro -%}
{#- Conditional probability, also called confidence: which share of the first one's groups holds the other, too. -#}
{%- macro conditional(c, n_a) -%} {{ c }} / {{ n_a }} {%- endmacro -%}
{#- Lift: how many times as often together as by chance. Huge for chance pairs of rare items: ask for some support. -#}
{%- macro lift(c, n_a, n_b, n) -%}
    {{ c }} * toFloat64({{ n }}) / (toFloat64({{ n_a }}) * {{ n_b }})
{%- endmacro -%}
{#- Log-likelihood ratio of the 2 x 2 table (Dunning 1993), 2 (H(rows) + H(columns) - H(matrix)) with H(x, …) = X ln X of their
    sum - the sum of x ln x: how surprising it is that they stand together so often, or so seldom. -#}
{%- macro llr(c, n_a, n_b, n) -%}
    greatest(
        0,
        2 * (
            arraySum(
                x -> x * ln(greatest(x, 1)),
                [
                    {{ n }},
                    {{ c }},
                    {{ n_a }} - {{ c }},
                    {{ n_b }} - {{ c }},
                    {{ n }} - {{ n_a }} - {{ n_b }} + {{ c }}
                ]
            ) - arraySum(
                x -> x * ln(greatest(x, 1)), [{{ n_a }}, {{ n }} - {{ n_a }}, {{ n_b }}, {{ n }} - {{ n_b }}]
            )
        )
    )
{%- endmacro -%}
{#- Its signed root: below 0 where they stand together less often than by chance. -#}
{%- macro signed_llr(c, n_a, n_b, n) -%}
    sign({{ lift(c, n_a, n_b, n) }} - 1) * sqrt({{ llr(c, n_a, n_b, n) }})
{%- endmacro -%}
{#- The total of an item, out of one value of two arrays: the keys, and the totals. At least 1. -#}
{%- macro total(totals, item_key) -%}
    greatest(
        1, transform({{ item_key }}, tupleElement({{ totals }}, 1), tupleElement({{ totals }}, 2), toInt64(0))
    )
{%- endmacro -%}
{#- The score of that name, `strength` where it is none of them. Only the one that is asked for is calculated. -#}
{%- macro pair_score(score, strength, c, n_a, n_b, n) -%}
    multiIf(
        {{ score }} = 'count',
        toFloat64({{ c }}),
        {{ score }} = 'cosine',
        {{ cosine(c, n_a, n_b) }},
        {{ score }} = 'jaccard',
        {{ jaccard(c, n_a, n_b) }},
        {{ score }} = 'conditional',
        {{ conditional(c, n_a) }},
        {{ score }} = 'lift',
        {{ lift(c, n_a, n_b, n) }},
        {{ score }} = 'llr',
        {{ signed_llr(c, n_a, n_b, n) }},
        {{ strength }}
    )
{%- endmacro -%}
