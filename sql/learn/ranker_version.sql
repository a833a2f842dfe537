-- The rows of a version of the weights.
select model, feature, place, bucket, above, up_to, weight, pairs, asked, bought, version
from {{ database }}.ranker_versions
where version = {version:UInt64}
order by model, place, bucket
