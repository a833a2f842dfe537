-- Dead letters of Kafka are kept for 90 days, rejected posts for 30: both may name people. ALSOBOUGHT_DEAD_LETTER_RETENTION_DAYS
-- changes that.
alter table {{ database }}.dead_letters modify ttl
    toDateTime(noted_at) + interval 90 day,
    toDateTime(noted_at) + interval 30 day where source = 'http'
