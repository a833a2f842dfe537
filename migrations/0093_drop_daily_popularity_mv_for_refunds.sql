-- The next migration creates it again, without refunds.
drop view {{ database }}.daily_popularity_mv
