-- The items nearest to one, itself first: by the index, or by looking at each (`exact`).
with (select embedding from {{ table }} where item_key = {item_key:UInt64}) as wanted
select item_key
from {{ table }}
order by {% if exact %} 1 - dotProduct(embedding, wanted) {% else %} cosineDistance(embedding, wanted) {% endif %}
limit 10
