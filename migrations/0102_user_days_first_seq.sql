-- The seq of the first time, which decides what counts as a voice (see voices). Rows from before have 0 until `alsobought rebuild user_days`.
alter table {{ database }}.user_days add column first_seq SimpleAggregateFunction(min, UInt64)
