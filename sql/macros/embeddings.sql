{#- What is served of item_embeddings, as one value: what its vectors were made of (baskets, titles; brought, the shop's own; empty
    where nothing was learnt), the newest item that it knows, and a vector. -#}
{%- macro served() -%}
    (
        select (any(model), any(version), any(embedding))
        from (select model, version, embedding from item_embeddings limit 1)
    )
{%- endmacro -%}
{#- The vectors of items, as rows of item_key and embedding. The shop's own are taken as they came last, whatever was learnt of
    them. model: what the vectors are made of. -#}
{%- macro vectors_of(item_ids, model) -%}
    select item_key, embedding
    from item_embeddings
    where {{ model }} not in ('', 'brought') and item_key in (select cityHash64(arrayJoin({{ item_ids }})))
    union all
    select item_key, embedding
    from brought_embeddings final
    where
        {{ model }} in ('', 'brought')
        and item_key in (select cityHash64(arrayJoin({{ item_ids }})))
        and notEmpty(embedding)
{%- endmacro -%}
