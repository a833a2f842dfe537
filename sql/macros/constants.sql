{#- Numbers that several pipes share. A number of one pipe alone is named at the top of that pipe. -#}
{#- Half-lives in days: of pairs of items, and of what users did with an item. -#}
{%- set half_life_days = 180 -%}
{#- co_baskets stores weights as whole numbers: 1e6 is a weight of 1. -#}
{%- set weight_unit = "1e6" -%}
{#- Number of candidates of an item: the strongest of its pairs. -#}
{%- set max_pairs = 300 -%}
{#- Replaces 0 in a division or a logarithm. -#}
{%- set tiny = "1e-9" -%}
