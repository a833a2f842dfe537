-- The recommendation that led to an event: the id that its answer had, and the item's place in the list, from 1. The writer verifies
-- the id and stamps what it says: placement is the key of a row of placements, 0 if the id is forged or has expired; recommended_at,
-- the time of the answer, is 1970 if it is forged. So attribution, too, is a function of this table.
alter table {{ database }}.events
    add column recommendation_id String after properties,
    add column position UInt16 after recommendation_id,
    add column placement UInt64 after position,
    add column recommended_at DateTime64(3, 'UTC') after placement
