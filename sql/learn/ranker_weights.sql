-- The weights in service.
select model, feature, place, bucket, above, up_to, weight, pairs, asked, bought, version
from {{ database }}.ranker_weights
order by model, place, bucket
