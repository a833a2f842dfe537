-- Rows that are older than their time are deleted at once, not only when parts merge.
alter table {{ database }}.dead_letters materialize ttl
