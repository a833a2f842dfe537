{#- The model of item_embeddings as one value: what its vectors are made of (baskets, titles, or brought for the shop's own;
    empty before `alsobought learn embeddings`), the version of the newest item in it, and one vector. -#}
{%- macro embedding_model() -%}
    (
        select (any(model), any(version), any(embedding))
        from (select model, version, embedding from item_embeddings limit 1)
    )
{%- endmacro -%}
{#- The vectors of items, rows of item_key and embedding. The shop's own vectors are the latest that came, also those newer than
    the model. model: what the vectors are made of. -#}
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
