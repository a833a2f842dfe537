-- The runs of `alsobought learn`: the table learned under the name that the documentation uses. One row per run.
-- until is the seq of the newest event that a run read; rows, options and quality are JSON objects.
create view {{ database }}.learning_runs as
select name, learned_at, events, until, seconds, rows, options, quality, line
from {{ database }}.learned
