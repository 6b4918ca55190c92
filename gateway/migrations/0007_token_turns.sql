-- Who asks Feishu for a token while Redis is away: whoever has the row, until it ends. Not logged,
-- since a lease is over in seconds.
CREATE UNLOGGED TABLE token_leases (
    credential bytea PRIMARY KEY,
    owner      text NOT NULL,
    -- What its holder met with, for the others to say the same; null while it asks.
    failure    bytea,
    ends_at    timestamptz NOT NULL
);

-- Tokens that one process dropped, for the others to forget within a second.
CREATE TABLE token_drops (
    fingerprint bytea NOT NULL,
    dropped_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX token_drops_dropped_at ON token_drops (dropped_at);

-- Tokens of secrets that were rotated are never overwritten: they are found by their end.
CREATE INDEX tokens_expires_at ON tokens (expires_at);
