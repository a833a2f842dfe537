-- How many of the shop's own vectors there are of each length, most first.
select length(embedding) as dimensions, count() as items
from {{ database }}.brought_embeddings final
where notEmpty(embedding)
group by dimensions
order by items desc, dimensions desc
