#!/bin/sh
# Make what docker-compose.yml needs and has no default for: the secrets of Alsobought as files in secrets/, and in .env the SHA-256 of
# the databases' passwords for ClickHouse. Keeps what is there, so that it may run again; passwords of an older .env move into files.
set -eu
cd "$(dirname "$0")/.."

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

sha256() {
    if command -v sha256sum > /dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

# The value of a variable in .env, if it has one, and then without it there.
taken_from_env() {
    sed -n "s/^$1=//p" .env
    sed "/^$1=/d" .env > .env.new
    mv .env.new .env
}

# secret FILE TEXT: keeps the file if there is one.
secret() {
    if [ ! -s "secrets/$1" ]; then
        printf '%s' "$2" > "secrets/$1"
    fi
    chmod 444 "secrets/$1" # to the user of the container; the folder keeps others on this machine out
}

# database_user FILE USER VARIABLE
database_user() {
    password=$(taken_from_env "$3")
    secret "$1" "http://$2:${password:-$(random)}@clickhouse:8123"
    taken_from_env "$3_SHA256" > /dev/null
    printf '%s_SHA256=%s\n' "$3" "$(sed 's|^[^:]*://[^:]*:\(.*\)@.*$|\1|' "secrets/$1" | tr -d '\n' | sha256)" >> .env
}

umask 077
touch .env
mkdir -p secrets
chmod 700 secrets
database_user dsn alsobought CLICKHOUSE_PASSWORD
database_user migrator_dsn alsobought_migrator CLICKHOUSE_MIGRATOR_PASSWORD
database_user reader_dsn alsobought_reader CLICKHOUSE_READER_PASSWORD
token_secret=$(taken_from_env ALSOBOUGHT_TOKEN_SECRET)
secret token_secret "${token_secret:-$(random)}"
secret admin_key "$(random)"
echo "The secrets are in secrets/, the admin key is secrets/admin_key; .env has hashes only."
