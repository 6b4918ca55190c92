-- Tokens that the fleet shares durably; Redis holds the same ones for quick reading.
CREATE TABLE tokens (
    -- SHA-256 over domain, app id, fingerprint of the secret, kind and tenant.
    credential  bytea PRIMARY KEY,
    app_id      text NOT NULL,
    kind        text NOT NULL,
    -- SHA-256 of the token: a rejected token is deleted by it, and no other.
    fingerprint bytea NOT NULL,
    sealed      bytea NOT NULL,
    issued_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL
);

CREATE INDEX tokens_app_id ON tokens (app_id);
