-- Title, brand and category of each item as one text.
select cityHash64(item_id) as item_key, concatWithSeparator(' ', title, brand, replaceAll(category, '/', ' ')) as words
from {{ database }}.items final
where words != '  '
order by item_key
