-- What those who have an item want next, at most 50 items with a weight each: learned by `alsobought learn neighbours`, else its
-- strongest companions, each with its share of all of them.
--
-- @key item_key of orders
select item_key, max(learned) as is_learned, argMax(weights, learned) as wanted
from
    (
        select
            item_key,
            false as learned,
            arrayMap(
                one -> (one.item_key, toFloat32(one.strength / arraySum(companions.strength))),
                arraySlice(companions, 1, 50)
            ) as weights
        from {{ database }}.item_companions
        where {{ picks("item_key") }}
        union all
        select item_key, true, neighbours
        from {{ database }}.item_neighbours
        where {{ picks("item_key") }}
    )
group by item_key
