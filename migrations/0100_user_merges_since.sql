-- The account that the merge named, which may itself be merged by now (user_id), and when that was; 1970 for merges from before events had
-- a guest_id, which cannot be undone.
alter table {{ database }}.user_merges add column merged_into String default user_id, add column since DateTime64(3, 'UTC')
