-- Products whose title has these words, the most bought first. Without words, the most bought products.
--
-- :words  String = ''           words or their beginnings, in any order
-- :limit  UInt16 = 10 (1..100)  number of products
-- @use filters
--
-- @cache 500ms
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import is_eligible %}
{% from 'reasons.sql' import bought_times %}
with
    wanted as (select splitByChar(' ', lowerUTF8({{ words }})) as each_word),
    sold as (
        select item_key, sum(events) as purchases
        from item_hours
        where event_type = 'purchase'
        group by item_key
    ),
    matching as (
        select catalogue.item_key as found_key, catalogue.item_id as found_id, catalogue.title as found_title
        from catalogue
        where
            arrayAll(
                word -> position(lowerUTF8(concat(' ', found_title, ' ', found_id)), concat(' ', word)) > 0,
                (select each_word from wanted)
            )
            and {{ is_eligible("found_key", exclude, category, brand, min_price, max_price) }}
    )
select
    found_id as item_id,
    found_title as title,
    {{ item("category", "found_key") }} as category,
    {{ item("price", "found_key") }} as price,
    purchases,
    {{ bought_times("purchases") }} as reason
from matching
left join sold on sold.item_key = found_key
order by purchases desc, item_id
limit {{ limit }}
