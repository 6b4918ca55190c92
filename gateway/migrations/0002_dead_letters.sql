-- Calls that were given up, as the wire contract names the columns.
CREATE TABLE dead_letters (
    id          uuid PRIMARY KEY,
    call_id     text,
    app         text,
    reason      text NOT NULL,
    error       jsonb NOT NULL,
    body        bytea NOT NULL,
    headers     jsonb NOT NULL,
    properties  jsonb NOT NULL,
    routing_key text NOT NULL,
    attempts    integer NOT NULL CHECK (attempts >= 0),
    first_seen  timestamptz,
    dead_at     timestamptz NOT NULL DEFAULT now(),
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed'))
);

-- Newest first, and newest first within a reason or an app; id breaks ties when paging.
CREATE INDEX dead_letters_dead_at ON dead_letters (dead_at DESC, id);
CREATE INDEX dead_letters_reason ON dead_letters (reason, dead_at DESC, id);
CREATE INDEX dead_letters_app ON dead_letters (app, dead_at DESC, id);
CREATE INDEX dead_letters_call_id ON dead_letters (call_id) WHERE call_id IS NOT NULL;
