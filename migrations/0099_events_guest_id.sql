-- Under which id an event came, where a merge made it another user's: to undo the merge, its events must be told from the account's own.
alter table {{ database }}.events add column guest_id String after session_id
