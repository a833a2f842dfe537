-- Pairs whose number of orders, or its weight, is not what the events say. Written another way than the view, on purpose:
-- ranks by window function, pairs by joining the order with itself. Items are split into 16 shares to bound memory.
with
    ranked as (
        select
            cityHash64(user_id, order_id) as order_key,
            cityHash64(item_id) as item_key,
            row_number() over (partition by order_key order by min(seq)) as nth,
            toStartOfMonth(toDate(argMin(timestamp, seq))) as month,
            toInt64(round(1e6 / sqrt(greatest(argMin(order_size, seq), 2)))) as weight
        from {{ database }}.events
        where event_type = 'purchase' and order_id != ''
        group by order_key, item_key
    )
select * from (
{% for share in range(16) %}
select item_key, other_item_key, month, sum(times) as difference, sum(total) as weight_difference
from (
    select item_key, other_item_key, month, baskets as times, weight as total
    from {{ database }}.co_baskets
    where item_key % 16 = {{ share }}
    union all
    select
        one.item_key as item_key,
        other.item_key as other_item_key,
        if(one.nth > other.nth, one.month, other.month) as month,
        toInt64(-1) as times,
        -if(one.nth > other.nth, one.weight, other.weight) as total
    from ranked as one
    inner join ranked as other on one.order_key = other.order_key
    where one.item_key % 16 = {{ share }} and one.nth != other.nth and abs(toInt64(one.nth) - toInt64(other.nth)) <= 100
)
group by item_key, other_item_key, month
having difference != 0 or weight_difference != 0
{% if not loop.last %} union all {% endif %}
{% endfor %}
)
