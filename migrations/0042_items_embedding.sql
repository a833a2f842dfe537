-- A vector of the shop's own for an item, of its picture or its text; empty for none. It is served from brought_embeddings.
alter table {{ database }}.items add column embedding Array(Float32)
