-- Who suits this person, both ways, where people choose people: each is an item to the others, with the
-- user_id as item_id, and stands in the catalogue in a category. Who liked this person comes first; who is
-- unlikely to say yes does not come.
--
-- :user_id   String                   who is looking
-- :limit     UInt16 = 10 (1..100)     how many
-- :capacity  UInt32? (1..1000000)     nobody who has so many likes of others to answer already: from people
-- whom they neither liked back nor dislike
-- :exclude   Array(String)?           leave out these people; repeat it
-- :category  String?                  only people of this category, or below it
--
-- @cache 500ms user_id
{#- One-way compatibility as RECON (Pizzato et al. 2010) counts it, of one attribute: the share of a person's interest that went
    to the other's category; 1 if they like the other already. The score is the harmonic mean of the two ways. -#}
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import may_show %}
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
        {# Whom this person liked, or dislikes: nobody to be offered again. #}
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
        {# What others did with this person. #}
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
            2 * interest * interest_back / greatest(interest + interest_back, 1e-9) as strength
        from people
        inner join shares on shares.liked_category = people.their_category
        left join shares_back on shares_back.admirer = people.person
        left join answers on answers.admirer = people.person
        where not answers.dislikes_back
    ),
    best as (
        select person, item_key, their_category, interest, interest_back, likes_back, strength
        from scored
        where
            strength > 0
            {% if capacity %}
                and (
                    likes_back
                    or item_key not in (select liked_key from waiting where likes_waiting >= {{ capacity }})
                )
            {% endif %}
            and {{ may_show("item_key", exclude, category) }}
        order by strength desc, person
        limit {{ limit }}
    )
select
    person as item_id,
    {{ item("title", "item_key") }} as title,
    their_category as category,
    round(interest, 6) as your_interest,
    round(interest_back, 6) as their_interest,
    round(strength, 6) as score,
    concat(
        if(likes_back, 'likes you already; ', ''),
        toString(greatest(1, round(100 * interest))),
        ' % of your interest is in ',
        their_category,
        if(
            likes_back,
            '',
            concat(', ', toString(greatest(1, round(100 * interest_back))), ' % of theirs in ', own_category)
        )
    ) as reason
from best
order by score desc, item_id
limit {{ limit }}
