-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The runs of `alsobought learn`: the table learned under the name that the documentation uses. One row per run.
-- until is the seq of the newest event that a run read; rows, options and quality are JSON objects.
create view if not exists shop.learning_runs on cluster 'shards' as
select name, learned_at, events, until, seconds, rows, options, quality, line
from shop.learned
;
