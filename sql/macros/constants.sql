{#- Numbers that several pipes share. A number of one pipe alone is named at the top of that pipe. -#}
{#- Half-lives in days: of pairs of items, and of what users did with an item. -#}
{%- set half_life_days = 180 -%}
{#- co_baskets stores weights as whole numbers: 1e6 is a weight of 1. -#}
{%- set weight_unit = "1e6" -%}
{#- The day of which item_companions states every strength. A pair that is stronger on one day is stronger on all. -#}
{%- set reference_day = "toDate('2020-01-01')" -%}
{#- Number of candidates of an item: the strongest of its pairs. -#}
{%- set max_pairs = 300 -%}
{#- Replaces 0 in a division or a logarithm. -#}
{%- set tiny = "1e-9" -%}
