-- What a shop knows of its users: one row per user, the newest version wins. Each attribute is a list of words, of which most have
-- one; a number is the word that it is written as. `lists` names the attributes that were sent as lists. `given` names those that
-- the account took over when this user, a guest, was merged into it. Rows that are `removed` are those of merged guests, kept for an
-- unmerge, and empty ones. Read it with FINAL, or with the macros of sql/macros/users.sql.
create table {{ database }}.users (
    user_id String,
    attributes Map(String, Array(String)),
    lists Array(String),
    given Array(String),
    removed Bool,
    version UInt64,
    updated_at DateTime64(3, 'UTC')
)
engine = {{ engine('ReplacingMergeTree', 'version') }}
order by user_id
