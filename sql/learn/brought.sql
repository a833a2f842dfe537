-- The number of the shop's own vectors by length, the most frequent length first.
select length(embedding) as dimensions, count() as items
from {{ database }}.brought_embeddings final
where notEmpty(embedding)
group by dimensions
order by items desc, dimensions desc
