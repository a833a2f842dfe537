-- The next migration creates it again, with first_seq.
drop view {{ database }}.user_days_mv
