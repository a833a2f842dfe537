-- People who suit this user and whom this user suits, for shops where people choose people. A person is
-- an item in the catalogue, with the user_id as item_id and one category. People who like this user come
-- first; people who are unlikely to like them back are left out.
--
-- :user_id   String                the user who is looking
-- :limit     UInt16 = 10 (1..100)  number of people
-- :capacity  UInt32? (1..1000000)  leave out people with this many likes that wait for their answer,
-- a like or a dislike
-- :exclude   Array(String)?        people to leave out; repeat it
-- :category  String?               only this category and those below it
-- @use language
--
-- @cache 500ms user_id
{#- RECON (Pizzato et al. 2010) with one attribute: the compatibility of one person with another is the share of their interest
    in the other's category, or 1 if they like the other already. The score is the harmonic mean of both directions. -#}
{% from 'catalogue.sql' import item, title_in %}
{% from 'constants.sql' import tiny %}
{% from 'lists.sql' import is_eligible %}
{% from 'reasons.sql' import suits_you %}
{% from 'signals.sql' import signal %}
with
    dictGet('catalogue', 'category', cityHash64({{ user_id }})) as own_category,
    tastes as (
        select category as liked_category, sum(events * {{ signal("event_type") }}) as liking
        from user_categories
        where user_id = {{ user_id }}
        group by liked_category
        having liking > 0
    ),
    shares as (select liked_category, liking / sum(liking) over () as share from tastes),
    acquainted as (
        {# People whom this user liked or disliked are not offered again. #}
        select item_id
        from user_items
        where user_id = {{ user_id }} and event_type in ('like', 'purchase', 'dislike')
        group by item_id
        having sum(user_items.events) > 0
    ),
    people as (
        select
            items.item_id as person,
            cityHash64(person) as item_key,
            {{ item("category", "item_key") }} as their_category
        from items
        where
            category in (select liked_category from shares)
            and person != {{ user_id }}
            and person not in (select item_id from acquainted)
        group by person
    ),
    their_tastes as (
        select
            user_id as admirer,
            category as admired_category,
            sum(events * {{ signal("event_type") }}) as liking
        from user_categories
        where user_id in (select person from people)
        group by admirer, admired_category
        having liking > 0
    ),
    shares_back as (
        select admirer, sumIf(liking, admired_category = own_category) / sum(liking) as share_back
        from their_tastes
        group by admirer
    ),
    answers as (
        {# What others answered this user. #}
        select
            user_id as admirer,
            sumIf(events, event_type in ('like', 'purchase')) > 0 as likes_back,
            sumIf(events, event_type = 'dislike') > 0 as dislikes_back
        from item_users
        where item_key = cityHash64({{ user_id }})
        group by admirer
    ),
    {% if capacity %}
        waiting as (
            select liked_key, uniqExact(fan) as likes_waiting
            from
                (
                    select item_key as liked_key, user_id as fan
                    from item_users
                    where item_key in (select item_key from people) and event_type in ('like', 'purchase')
                    group by liked_key, fan
                    having sum(events) > 0
                ) as likes
            where
                (liked_key, fan) not in (
                    select cityHash64(user_id), item_id
                    from user_items
                    where
                        user_id in (select person from people)
                        and event_type in ('like', 'purchase', 'dislike')
                    group by user_id, item_id
                    having sum(user_items.events) > 0
                )
            group by liked_key
        ),
    {% endif %}
    scored as (
        select
            people.person as person,
            people.item_key as item_key,
            people.their_category as their_category,
            shares.share as interest,
            answers.likes_back as likes_back,
            if(likes_back, 1, shares_back.share_back) as interest_back,
            2 * interest * interest_back / greatest(interest + interest_back, {{ tiny }}) as strength
        from people
        inner join shares on shares.liked_category = people.their_category
        left join shares_back on shares_back.admirer = people.person
        left join answers on answers.admirer = people.person
        where not answers.dislikes_back
    ),
    best as (
        select *
        from scored
        where
            strength > 0
            {% if capacity %}
                and (
                    likes_back
                    or item_key not in (select liked_key from waiting where likes_waiting >= {{ capacity }})
                )
            {% endif %}
            and {{ is_eligible("item_key", exclude, category) }}
        order by strength desc, person
        limit {{ limit }}
    )
select
    person as item_id,
    {{ title_in(language, "item_key") }} as title,
    their_category as category,
    round(interest, 6) as your_interest,
    round(interest_back, 6) as their_interest,
    round(strength, 6) as score,
    {{ suits_you("likes_back", "interest", "their_category", "interest_back", "own_category") }} as reason
from best
order by strength desc, item_id
limit {{ limit }}
