-- Apps and pools beside the app of the environment, and who changed what.

-- One row. Every change counts it up first, in its own transaction: processes see by it that there
-- is something to read again, and operators change one after the other.
CREATE TABLE registry_revision (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL
);
INSERT INTO registry_revision (revision) VALUES (0);

CREATE TABLE apps (
    alias             text PRIMARY KEY
                      CHECK (alias ~ '^[a-z0-9][a-z0-9_-]{0,63}$' AND alias <> 'default'),
    app_id            text NOT NULL CHECK (app_id <> ''),
    -- AES-256-GCM for this place alone: table, alias and column are authenticated with it.
    secret            bytea NOT NULL,
    kind              text NOT NULL CHECK (kind IN ('self_built', 'store')),
    domain            text NOT NULL,
    status            text NOT NULL DEFAULT 'enabled'
                      CHECK (status IN ('enabled', 'disabled', 'removed')),
    -- What the limits file would hold in [apps.<alias>]; empty: the file counts.
    limits            jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object'),
    -- That of its last change: a change that was made up from an older one is refused.
    revision          bigint NOT NULL,
    secret_changed_at timestamptz NOT NULL DEFAULT now(),
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);

-- Two aliases of one app would each use the limits that Feishu gives the app once.
CREATE UNIQUE INDEX apps_app_id ON apps (domain, app_id) WHERE status <> 'removed';

CREATE TABLE pools (
    alias      text PRIMARY KEY
               CHECK (alias ~ '^[a-z0-9][a-z0-9_-]{0,63}$' AND alias <> 'default'),
    members    text[] NOT NULL CHECK (cardinality(members) > 0),
    -- True while its queues are being emptied.
    removed    boolean NOT NULL DEFAULT false,
    revision   bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Every change, without secrets. `id` is made up for the change before it is sent: one that is sent
-- again after a lost connection is found here and not made twice.
CREATE TABLE app_audit (
    id      uuid PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text NOT NULL,
    action  text NOT NULL,
    alias   text NOT NULL,
    details jsonb NOT NULL
);

CREATE INDEX app_audit_alias ON app_audit (alias, at DESC);
CREATE INDEX app_audit_at ON app_audit (at DESC);
