{#- The model of item_embeddings as one value: the source of its vectors (baskets, titles, or brought for external ones; empty
    before `alsobought learn embeddings`), the version of the newest item in it, and one vector. -#}
{%- macro embedding_model() -%}
    (
        select (any(model), any(version), any(embedding))
        from (select model, version, embedding from item_embeddings limit 1)
    )
{%- endmacro -%}
{#- The vectors of items, rows of item_key and embedding. External vectors are the latest ones sent, also those newer than the
    model. model: the source of the vectors. -#}
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
