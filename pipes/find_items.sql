-- Finds products by words of their title, the most bought first; no words: the most bought of all.
--
-- :words  String = ''             words, or the beginnings of words, in any order
-- :limit  UInt16 = 10 (1..100)    how many
--
-- @cache 500ms
{% from 'catalogue.sql' import item %}
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
    )
select
    found_id as item_id,
    found_title as title,
    {{ item("category", "found_key") }} as category,
    {{ item("price", "found_key") }} as price,
    purchases
from matching
left join sold on sold.item_key = found_key
order by purchases desc, item_id
limit {{ limit }}
