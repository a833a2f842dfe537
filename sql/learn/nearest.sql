-- The items nearest to one, itself first, with their distances: by the index, or by a full scan (`exact`).
with (select embedding from {{ table }} where item_key = {item_key:UInt64}) as wanted
select item_key, 1 - dotProduct(embedding, wanted) as distance
from {{ table }}
order by {% if exact %} distance {% else %} cosineDistance(embedding, wanted) {% endif %}
limit 10
