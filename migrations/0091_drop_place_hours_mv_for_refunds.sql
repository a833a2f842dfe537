-- The next migration creates it again, without refunds.
drop view {{ database }}.place_hours_mv
