-- The versions of the weights, the newest first.
select version, any(previous) as replaced, toString(any(learned_at)) as at, any(source) as learned_from, count() as weights
from {{ database }}.ranker_versions
group by version
order by version desc
