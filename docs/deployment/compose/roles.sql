-- PostgreSQL's image runs this once, when its volume is new
\getenv app TASKS_APP_PASSWORD
\getenv owner TASKS_OWNER_PASSWORD
CREATE ROLE tasks_owner LOGIN PASSWORD :'owner';
CREATE ROLE tasks_app LOGIN PASSWORD :'app';
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO tasks_owner;
GRANT USAGE ON SCHEMA public TO tasks_app;
ALTER DEFAULT PRIVILEGES FOR ROLE tasks_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tasks_app;
ALTER ROLE tasks_app IN DATABASE tasks SET statement_timeout = '10s';
ALTER ROLE tasks_app IN DATABASE tasks SET lock_timeout = '8s';
ALTER ROLE tasks_app IN DATABASE tasks SET idle_in_transaction_session_timeout = '15s';
