-- Who carries out K and N calls, and how they ended: of all with LARK_SERVICE_OUTCOMES=postgres,
-- else of the N calls of a time when Redis was away. Rows go a day after their last change.
CREATE TABLE outcomes (
    alias       text NOT NULL,
    call_id     text NOT NULL,
    -- C claimed, S started, K only the content is remembered, R recorded.
    state       text NOT NULL CHECK (state IN ('C', 'S', 'K', 'R')),
    fingerprint bytea NOT NULL,
    owner       text NOT NULL,
    since       timestamptz,
    -- How it ended, compressed where it is large. It holds what Feishu answered, but no token.
    recorded    bytea,
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (alias, call_id)
);

CREATE INDEX outcomes_changed_at ON outcomes (changed_at);

-- Which processes are alive. Not logged: a lease is over in seconds.
CREATE UNLOGGED TABLE outcome_owners (
    owner   text PRIMARY KEY,
    ends_at timestamptz NOT NULL
);
