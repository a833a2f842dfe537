-- The next migration creates it again, without refunds.
drop view {{ database }}.item_ids_mv
