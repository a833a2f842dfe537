-- Rejected posts (source http) are kept for 30 days: whoever sent them knows of it from the response.
alter table {{ database }}.dead_letters modify ttl toDateTime(noted_at) + interval 30 day delete where source = 'http'
