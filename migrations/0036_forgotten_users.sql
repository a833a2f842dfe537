-- Who was forgotten, by a key that does not tell the name, and when: what still comes of them from before counts for nothing.
create table {{ database }}.forgotten_users (
    user_key UInt64,
    forgotten_at DateTime64(3, 'UTC')
)
engine = {{ engine('ReplacingMergeTree', 'forgotten_at') }}
order by user_key
settings {{ window }}
