#!/bin/sh
# Make what compose.yaml needs before its first start: .env with the name of the server, and the secrets.
# What is there already is left as it is. Usage: ./prepare.sh NAME, such as ./prepare.sh mlflow.example.org
set -eu
cd "$(dirname "$0")"
umask 077

random() {
    head -c 24 /dev/urandom | base64 | tr '+/' '-_'
}

# The files can be read by any user, as the containers have users of their own; their folder keeps others out.
write_secret() {
    if [ ! -e "secrets/$1" ]; then
        cat >"secrets/$1"
        chmod 444 "secrets/$1"
        echo "Wrote secrets/$1"
    fi
}

if [ ! -e .env ]; then
    case "${1:-}" in
    "" | -* | *[!A-Za-z0-9.-]*)
        echo "Invalid name of the server: expected such as mlflow.example.org, got '${1:-}'. ./prepare.sh NAME" >&2
        exit 2
        ;;
    esac
    echo "TINYBENCH_HOST=$1" >.env
    echo "Wrote .env"
fi
mkdir -p secrets
for name in admin_password database_password postgres_password secret_key; do
    random | write_secret "$name"
done
if [ ! -e secrets/s3_credentials ]; then
    rm -f secrets/s3_config # the two hold the same key
    key=$(random)
    printf '[default]\naws_access_key_id = tinybench\naws_secret_access_key = %s\n' "$key" | write_secret s3_credentials
    printf '{"identities": [{"name": "tinybench", "credentials": [{"accessKey": "tinybench", "secretKey": "%s"}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}\n' "$key" | write_secret s3_config
fi
echo "The administrator is admin, with the password in $(pwd)/secrets/admin_password"
