-- What recommendations lead to: impressions, clicks, carts, purchases and revenue, by surface, pipe,
-- version, variant, position, day or
-- kind of user. docs/how-to/measure.md defines every column. Rates and revenue have 95 % intervals.
--
-- :since    DateTime?                beginning; by default seven days before the request
-- :until    DateTime?                end, not included; by default the time of the request
-- :by       String = surface (surface, pipe, version, variant, position, day, segment, total)  a row for
-- each of them; `segment`:
-- new users, whose first event is in the period, and returning ones
-- :model    String = last_touch (last_touch, position_weighted)  how a purchase is shared by several
-- recommendations
-- :surface  String? (1..256)         only this surface
-- :limit    UInt16 = 100 (1..1000)   number of rows
--
-- @private
-- @cache 5s
{% from 'attribution.sql' import begin, conversions, end, credited_parts, label_of, sold_parts, touched_parts, known_placements %}
{% from 'intervals.sql' import ratio, ratio_reach, wilson_high, wilson_low %}
with
    parts as (
        select *
        from {{ touched_parts(begin(since), end(until), by) }}
        union all
        select *
        from {{ credited_parts(begin(since), end(until), by, model) }}
        union all
        select *
        from {{ sold_parts(begin(since), end(until), by) }}
    ),
    {# A row for each value and group of users, and under the value * for all together. Sessions are counted where they are shown:
       those of all together are as many again. #}
    groups as (
        select
            arrayJoin([{{ label_of(by) }}, '*']) as label_key,
            bucket,
            sum(parts.impressions) as shown,
            sum(parts.clicks) as clicked,
            sum(parts.clicked_impressions) as clicked_shown,
            sum(parts.carts) as carted,
            sum(parts.purchases) as bought,
            sum(parts.revenue) as click_revenue,
            sum(parts.view_revenue) as view_revenue,
            length(
                arrayDistinct(groupArrayArrayIf(parts.sessions, (label_key = '*') = ({{ by }} = 'total')))
            ) as visits,
            groupUniqArrayArray(parts.orders) as led_orders,
            sum(parts.shop_revenue) as all_revenue,
            sum(parts.shop_orders) as all_orders
        from parts
        left join {{ known_placements() }} as known on place = known_place
        {% if surface %} where known_surface = {{ surface }} or place = 0 {% endif %}
        group by label_key, bucket
    ),
    summed as (
        select
            label_key,
            sum(shown) as impressions,
            sum(clicked) as clicks,
            sum(clicked_shown) as clicked_impressions,
            sum(carted) as carts,
            sum(bought) as purchases,
            sum(click_revenue) as revenue,
            sum(groups.view_revenue) as view_revenue,
            sum(visits) as sessions,
            {{ ratio_reach("click_revenue", "shown") }} as reach_by_impression,
            {{ ratio_reach("click_revenue", "visits") }} as reach_by_session,
            sum(length(led_orders)) as orders,
            sum(arraySum(tupleElement(led_orders, 2))) as orders_revenue,
            sum(all_revenue) as own_revenue,
            sum(all_orders) as own_orders
        from groups
        group by label_key
    ),
    compared as (
        select
            *,
            if({{ by }} = 'day', own_revenue, max(own_revenue) over ()) as shop_revenue,
            if({{ by }} = 'day', own_orders, max(own_orders) over ()) as shop_orders,
            if({{ by }} = 'day', orders, max(orders) over ()) as any_orders,
            if({{ by }} = 'day', orders_revenue, max(orders_revenue) over ()) as any_orders_revenue
        from summed
    )
select
    if(label_key = '*', 'total', label_key) as value,
    impressions,
    clicks,
    round({{ ratio("clicked_impressions", "impressions") }}, 6) as click_through_rate,
    round({{ wilson_low("clicked_impressions", "impressions") }}, 6) as click_through_rate_low,
    round({{ wilson_high("clicked_impressions", "impressions") }}, 6) as click_through_rate_high,
    round(carts, 4) as add_to_carts,
    round({{ ratio("carts", "clicks") }}, 6) as add_to_cart_rate,
    round({{ wilson_low("carts", "clicks") }}, 6) as add_to_cart_rate_low,
    round({{ wilson_high("carts", "clicks") }}, 6) as add_to_cart_rate_high,
    round(compared.purchases, 4) as purchases,
    round({{ ratio("compared.purchases", "clicks") }}, 6) as conversion_rate,
    round({{ wilson_low("compared.purchases", "clicks") }}, 6) as conversion_rate_low,
    round({{ wilson_high("compared.purchases", "clicks") }}, 6) as conversion_rate_high,
    round(compared.revenue, 2) as revenue,
    round(compared.view_revenue, 2) as view_through_revenue,
    round(1000 * {{ ratio("compared.revenue", "impressions") }}, 4) as revenue_per_thousand,
    round(
        greatest(0, 1000 * ({{ ratio("compared.revenue", "impressions") }} - reach_by_impression)), 4
    ) as revenue_per_thousand_low,
    round(
        1000 * ({{ ratio("compared.revenue", "impressions") }} + reach_by_impression), 4
    ) as revenue_per_thousand_high,
    sessions,
    round({{ ratio("compared.revenue", "sessions") }}, 4) as revenue_per_session,
    round(
        greatest(0, {{ ratio("compared.revenue", "sessions") }} - reach_by_session), 4
    ) as revenue_per_session_low,
    round({{ ratio("compared.revenue", "sessions") }} + reach_by_session, 4) as revenue_per_session_high,
    orders,
    round({{ ratio("orders_revenue", "orders") }}, 2) as average_order_value,
    round(
        {{ ratio("(shop_revenue - any_orders_revenue)", "(shop_orders - any_orders)") }}, 2
    ) as average_order_value_without,
    round({{ ratio("compared.revenue", "shop_revenue") }}, 6) as share_of_revenue
from compared
where (label_key = '*') = ({{ by }} = 'total') and label_key != ''
order by
    if(
        {{ by }} in ('day', 'position'),
        toFloat64(toUInt32OrZero(replaceAll(label_key, '-', ''))),
        - compared.revenue
    ),
    impressions desc,
    label_key
limit {{ limit }}
