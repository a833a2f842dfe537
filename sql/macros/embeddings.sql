{#- What the vectors in service were made of: baskets, titles or brought, the shop's own. Where nothing was learnt, its own. -#}
{%- macro model() -%}
    (select if(max(model) = '', 'brought', max(model)) from item_embeddings)
{%- endmacro -%}
{#- The newest item whose own vector the index knows; newer ones are looked for beside it. -#}
{%- macro indexed_version() -%}(select max(version) from item_embeddings) {%- endmacro -%}
{#- The vectors of items, as rows of item_key and embedding. A shop's own is taken as it is now, not as the index has it.
    model: the column or value that says what the vectors in service are. -#}
{%- macro vectors_of(item_ids, model) -%}
    select item_key, embedding
    from item_embeddings
    where item_key in (select cityHash64(arrayJoin({{ item_ids }}))) and {{ model }} != 'brought'
    union all
    select item_key, embedding
    from brought_embeddings final
    where
        item_key in (select cityHash64(arrayJoin({{ item_ids }})))
        and {{ model }} = 'brought'
        and notEmpty(embedding)
{%- endmacro -%}
