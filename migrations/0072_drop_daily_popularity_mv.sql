-- The next migration creates it again: its orders will come from the feed first_lines.
drop view {{ database }}.daily_popularity_mv
