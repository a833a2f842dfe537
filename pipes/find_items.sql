-- Finds products by words of their title, the most bought first; no words: the most bought of all.
--
-- :words      String = ''           words, or the beginnings of words, in any order
-- :limit      UInt16 = 10 (1..100)  how many
-- :exclude    Array(String)?        leave out these items; repeat it
-- :category   String?               only products of this category, or below it
-- :brand      Array(String)?        only products of these brands
-- :min_price  Float64? (0..1e12)    only products that cost at least this
-- :max_price  Float64? (0..1e12)    only products that cost at most this
--
-- @cache 500ms
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import counted, may_show %}
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
            and {{ may_show("found_key", exclude, category, min_price, max_price, brand) }}
    )
select
    found_id as item_id,
    found_title as title,
    {{ item("category", "found_key") }} as category,
    {{ item("price", "found_key") }} as price,
    purchases,
    if(
        purchases = 0, 'not bought yet', {{ counted("purchases", "time", "times", before="bought ") }}
    ) as reason
from matching
left join sold on sold.item_key = found_key
order by purchases desc, item_id
limit {{ limit }}
