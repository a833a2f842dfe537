-- How many pieces of a purchase were refunded. What is left counts; a purchase that was refunded whole has the type refunded_purchase,
-- so that every count stays a function of this table. An event of type refund is the request: it says what is taken back, and no view
-- counts it but that of ingest_batches.
alter table {{ database }}.events add column refunded UInt32 after quantity
