{#- Numbers that several pipes share, and their meaning. What one pipe alone uses has its name at the top of that pipe. -#}
{#- Pairs of items and what users did with an item count half as much after so many days. -#}
{%- set half_life_days = 180 -%}
{#- co_baskets stores weights as whole numbers: 1e6 is a weight of 1. -#}
{%- set weight_unit = "1e6" -%}
{#- Of the pairs of an item the strongest so many are candidates. -#}
{%- set max_pairs = 300 -%}
{#- Instead of 0 in a division or a logarithm. -#}
{%- set tiny = "1e-9" -%}
