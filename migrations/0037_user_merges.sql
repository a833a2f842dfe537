-- Whose events are whose: what a guest does after the merge is the account's. An account that is merged takes its guests along.
create table {{ database }}.user_merges (
    guest_id String,
    user_id String,
    merged_at DateTime64(3, 'UTC')
)
engine = {{ engine('ReplacingMergeTree', 'merged_at') }}
order by guest_id
settings {{ window }}
