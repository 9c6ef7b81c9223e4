-- Run once by the image of Postgres, as the superuser, when the volume is empty.
\set password `cat /run/secrets/database_password`
SELECT length(:'password') < 12 AS is_missing \gset
\if :is_missing
DO $$ BEGIN
    RAISE EXCEPTION 'The secret database_password is missing or shorter than 12 characters: ./prepare.sh makes one.';
END $$;
\endif
CREATE ROLE tinybench LOGIN PASSWORD :'password';
CREATE DATABASE tinybench OWNER tinybench;
REVOKE ALL ON DATABASE tinybench FROM PUBLIC;
