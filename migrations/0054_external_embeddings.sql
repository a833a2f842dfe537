-- The vectors that came with items, of length 1: one row per item, the newest version. FINAL is in the view, so a reader needs none.
create view {{ database }}.external_embeddings as
select item_key, embedding, version
from {{ database }}.brought_embeddings final
