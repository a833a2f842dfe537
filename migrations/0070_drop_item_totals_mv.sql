-- The next migration creates it again: what it looks up will come from the feed first_lines.
drop view {{ database }}.item_totals_mv
