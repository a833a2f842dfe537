-- The next migration creates it again, without refunds.
drop view {{ database }}.item_users_mv
