#!/bin/sh
# Make what docker-compose.yml needs and has no default for: passwords and a secret in .env, the admin key in secrets/.
# Keeps what is there, so that it may run again.
set -eu
cd "$(dirname "$0")/.."

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

umask 077
touch .env
for name in CLICKHOUSE_PASSWORD CLICKHOUSE_READER_PASSWORD ALSOBOUGHT_TOKEN_SECRET; do
    grep -q "^$name=." .env || printf '%s=%s\n' "$name" "$(random)" >> .env
done
mkdir -p secrets
chmod 700 secrets
if [ ! -s secrets/admin_key ]; then
    random > secrets/admin_key
fi
chmod 444 secrets/admin_key # to the user of the container; the folder keeps others on this machine out
echo "Passwords are in .env, the admin key is in secrets/admin_key."
