-- Products that have these words in their title, brand, tags or id. The product with this id comes first,
-- then those that most people buy and look at. Without words, all products.
--
-- :words  String = ''           words or their beginnings, in any order; case and accents do not matter
-- :limit  UInt16 = 10 (1..100)  number of products
-- @use filters
-- @use language
--
-- @cache 500ms
{% from 'catalogue.sql' import item_columns %}
{% from 'lists.sql' import is_eligible, one_of_each_group %}
{% from 'reasons.sql' import bought_times %}
{% from 'signals.sql' import signal %}
{% from 'words.sql' import words_of %}
with
    used as (
        select
            item_key,
            sumIf(voices, event_type = 'purchase') as times_bought,
            sum(voices * {{ signal("event_type") }}) as signals
        from daily_voices
        group by item_key
    ),
    matching as (
        select catalogue.item_key as found_key, catalogue.item_id = {{ words }} as is_id
        from catalogue
        where
            arrayAll(word -> position(catalogue.words, concat(' ', word)) > 0, {{ words_of(words) }})
            and {{ is_eligible("found_key", **filters) }}
    )
select
    {{ item_columns("found_key", language=language) }},
    times_bought as purchases,
    {{ bought_times("times_bought") }} as reason
from matching
left join
    used on used.item_key = found_key
    {{ one_of_each_group("found_key", "is_id desc, signals desc, found_key") }}
order by is_id desc, signals desc, item_id
limit {{ limit }}
