-- What users let apps do in their name. A refresh token is good for one use, so one process at a
-- time refreshes a grant, and the next pair is written here before it is used.
CREATE TABLE user_grants (
    -- SHA-256 over domain, app id, kind and user key; not the app's secret, which may change.
    credential         bytea PRIMARY KEY,
    domain             text NOT NULL,
    app_id             text NOT NULL,
    user_key           text NOT NULL,
    scope              text NOT NULL DEFAULT '',
    -- Both AES-256-GCM for this place alone: table, credential and column are authenticated.
    access_token       bytea,
    access_expires_at  timestamptz,
    refresh_token      bytea NOT NULL,
    refresh_expires_at timestamptz NOT NULL,
    -- SHA-256 of the refresh token: an answer is written in the place of the very token it is for.
    refresh_print      bytea NOT NULL,
    -- SHA-256 of the refresh token that was sent last. While it equals refresh_print nobody knows
    -- whether that token is spent.
    spent_print        bytea,
    granted_at         timestamptz NOT NULL DEFAULT now(),
    refreshed_at       timestamptz,
    state              text NOT NULL DEFAULT 'active'
                       CHECK (state IN ('active', 'refreshing', 'reauth_required')),
    -- How the last refresh failed, as JSON without secrets, and when the next may be tried.
    failure            text,
    failures           integer NOT NULL DEFAULT 0,
    retry_at           timestamptz,
    -- Who refreshes, and until when; each lease and each import counts the fence up.
    lease_owner        text,
    lease_until        timestamptz,
    fence              bigint NOT NULL DEFAULT 0
);

CREATE INDEX user_grants_app ON user_grants (app_id, user_key);
CREATE INDEX user_grants_refresh_expires_at ON user_grants (refresh_expires_at)
    WHERE state <> 'reauth_required';
