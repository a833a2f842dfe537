{#- 95 % confidence intervals, in closed form. -#}
{%- set z = "1.959964" -%}
{#- A ratio, 0 where there is nothing to divide by. -#}
{%- macro ratio(numerator, denominator) -%}
    if({{ denominator }} = 0, 0., {{ numerator }} / {{ denominator }})
{%- endmacro -%}
{#- The ends of Wilson's score interval of a rate (E. B. Wilson, Probable inference, JASA 22, 1927): right for rates near 0 and for
    few trials, where the normal approximation is not. 0 and 1 where nothing was tried. -#}
{%- macro wilson_low(successes, trials) -%}
    if(
        {{ trials }} = 0,
        0.,
        ({{ wilson_centre(successes) }} - {{ wilson_reach(successes, trials) }})
        / ({{ trials }} + pow({{ z }}, 2))
    )
{%- endmacro -%}
{%- macro wilson_high(successes, trials) -%}
    if(
        {{ trials }} = 0,
        1.,
        ({{ wilson_centre(successes) }} + {{ wilson_reach(successes, trials) }})
        / ({{ trials }} + pow({{ z }}, 2))
    )
{%- endmacro -%}
{%- macro wilson_centre(successes) -%} {{ successes }} + pow({{ z }}, 2) / 2 {%- endmacro -%}
{%- macro wilson_reach(successes, trials) -%}
    {{ z }} * sqrt(greatest(0, {{ successes }} * (1 - {{ successes }} / {{ trials }})) + pow({{ z }}, 2) / 4)
{%- endmacro -%}
{#- Half the width of the interval of a ratio of two sums over independent rows, such as users: the delta method (A. Deng, U. Knoblich
    and J. Lu, Applying the delta method in metric analytics, KDD 2018, section 2). An aggregate over those rows, which need not
    include rows with 0 / 0: they change nothing but the factor n / (n - 1). -#}
{%- macro ratio_reach(numerator, denominator) -%}
    if(
        count() < 2 or sum({{ denominator }}) = 0,
        0.,
        {{ z }} * sqrt(
            greatest(
                0,
                sum(pow({{ numerator }}, 2))
                - 2 * sum({{ numerator }} * {{ denominator }}) * sum({{ numerator }}) / sum({{ denominator }})
                + sum(pow({{ denominator }}, 2)) * pow(sum({{ numerator }}) / sum({{ denominator }}), 2)
            )
            * count()
            / (count() - 1)
        )
        / sum({{ denominator }})
    )
{%- endmacro -%}
