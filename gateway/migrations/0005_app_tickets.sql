-- The last app ticket that Feishu pushed for each store app.
CREATE TABLE app_tickets (
    alias       text PRIMARY KEY,
    -- Another app that takes over the alias must not use a ticket that is not its own.
    app_id      text NOT NULL,
    sealed      bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
