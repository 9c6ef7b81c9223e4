-- Run once by the image of Postgres, as the superuser, when the volume is empty.
\set password `cat /run/secrets/database_password`
CREATE ROLE tinybench LOGIN PASSWORD :'password';
CREATE DATABASE tinybench OWNER tinybench;
REVOKE ALL ON DATABASE tinybench FROM PUBLIC;
