-- The vectors that are served now.
select item_key, embedding, model
from {{ database }}.item_embeddings
order by item_key
