-- Which producer may call what. No row at all: every producer may call everything.
CREATE TABLE producer_grants (
    -- A RabbitMQ user: the broker vouches for it, in the property user_id.
    producer    text NOT NULL CHECK (producer <> ''),
    -- An app or a pool, `default` too.
    alias       text NOT NULL CHECK (alias ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    -- `METHOD PATH` as Feishu documents it, or `METHOD PATH/*` for all below a path, where METHOD
    -- may be `*`; `*` alone is every API. Read by gateway/producer_grant_rows.py.
    api         text NOT NULL CHECK (api <> ''),
    -- Whether such calls may be made in the name of users who authorized the app.
    user_tokens boolean NOT NULL DEFAULT false,
    -- That of the change that made the row what it is.
    revision    bigint NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (producer, alias, api)
);
