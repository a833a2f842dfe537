-- The next migration creates it again, without refunds.
drop view {{ database }}.user_categories_mv
