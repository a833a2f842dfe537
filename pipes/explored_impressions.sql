-- Impressions of lists that explored, the newest first: the log from which off-policy evaluation estimates
-- what other lists would have earned. docs/how-to/off-policy.md defines every column.
--
-- :since    DateTime?                      beginning; by default seven days before the request
-- :until    DateTime?                      end, not included; by default the time of the request
-- :pipe     String? (1..256)               only lists of this pipe
-- :surface  String? (1..256)               only lists of this surface
-- :limit    UInt32 = 1000 (1..1000000)     number of impressions
--
-- @private
-- @cache 5s
{% from 'attribution.sql' import attributed, begin, end %}
{% from 'catalogue.sql' import group_of %}
{% from 'off_policy.sql' import touched_requests %}
with
    lists as (
        select *, arrayFilter(nth -> has(shown_items, cityHash64(item_ids[nth])), own_ranks) as seen_ranks
        from {{ touched_requests(begin(since), end(until)) }}
        where
            is_explored
            {% if pipe %} and pipe = {{ pipe }} {% endif %}
            {% if surface %} and surface = {{ surface }} {% endif %}
    ),
    impressions as (
        select
            *,
            arrayJoin(seen_ranks) as rank,
            cityHash64(item_ids[rank]) as seen_key,
            cityHash64(list_key, {{ group_of("seen_key") }}) as impression_key
        from lists
    ),
    bought as (
        select cityHash64(list_key, converted_group) as bought_key
        from {{ attributed(begin(since), end(until), "'last_touch'") }}
        where conversion_type = 'purchase' and not view_through
    )
select
    time,
    pipe,
    version,
    surface,
    parameters,
    recommendation_id,
    hex(first_user_key) as user_hash,
    hex(draw_key) as draw_hash,
    toUInt16(rank) as position,
    item_ids[rank] as item_id,
    propensities[rank] as propensity,
    toBool(has(clicked_items, seen_key)) as clicked,
    toBool(impression_key in (select bought_key from bought)) as purchased
from impressions
order by time desc, recommendation_id, position, item_id
limit {{ limit }}
