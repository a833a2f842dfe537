{#- Association scores of two items: of n groups (orders or sessions) c hold both, n_a the first and n_b the other. n_a and n_b
    are above 0, and c is at most the smaller of them. item_totals has all four. -#}
{#- Salton's cosine. -#}
{%- macro cosine(c, n_a, n_b) -%} {{ c }} / sqrt(toFloat64({{ n_a }}) * {{ n_b }}) {%- endmacro -%}
{#- Jaccard index: groups with both divided by groups with either. -#}
{%- macro jaccard(c, n_a, n_b) -%} {{ c }} / ({{ n_a }} + {{ n_b }} - {{ c }}) {%- endmacro -%}
{#- Conditional probability, or confidence: the share of the first item's groups that hold the other. -#}
{%- macro conditional(c, n_a) -%} {{ c }} / {{ n_a }} {%- endmacro -%}
{#- Lift: how many times as often together as by chance. Require a minimum c: pairs of rare items have a huge lift by chance. -#}
{%- macro lift(c, n_a, n_b, n) -%}
    {{ c }} * toFloat64({{ n }}) / (toFloat64({{ n_a }}) * {{ n_b }})
{%- endmacro -%}
{#- Log-likelihood ratio of the 2 x 2 table (Dunning 1993), 2 (H(rows) + H(columns) - H(matrix)), with H(x, …) = X ln X of the
    sum - the sum of x ln x: the evidence that the items are together more often, or less often, than by chance. -#}
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
{#- Its signed root: below 0 where the items are together less often than by chance. -#}
{%- macro signed_llr(c, n_a, n_b, n) -%}
    sign({{ lift(c, n_a, n_b, n) }} - 1) * sqrt({{ llr(c, n_a, n_b, n) }})
{%- endmacro -%}
{#- The total of an item, at least 1. totals: one value with two arrays, the keys and their totals. -#}
{%- macro total(totals, item_key) -%}
    greatest(
        1, transform({{ item_key }}, tupleElement({{ totals }}, 1), tupleElement({{ totals }}, 2), toInt64(0))
    )
{%- endmacro -%}
{#- The score of this name; `strength` for any other name. ClickHouse calculates only the one that is asked for. -#}
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
