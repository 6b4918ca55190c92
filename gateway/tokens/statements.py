"""What Postgres does in one statement each: no transaction is open while anything is waited for."""

from __future__ import annotations

LOOK = """
SELECT wanted.credential, sealed,
    extract(epoch FROM clock_timestamp() - issued_at)::float8 AS age,
    extract(epoch FROM expires_at - clock_timestamp())::float8 AS remaining,
    failure, extract(epoch FROM ends_at - clock_timestamp())::float8 AS failure_remaining
FROM unnest($1::bytea[]) AS wanted (credential)
LEFT JOIN tokens USING (credential)
LEFT JOIN token_leases USING (credential)
"""
# A value that says it comes from the future is damaged, and must not keep newer ones out.
PUT = """
INSERT INTO tokens AS held
    (credential, app_id, kind, fingerprint, sealed, issued_at, expires_at)
VALUES ($1, $2, $3, $4, $5,
    clock_timestamp() - make_interval(secs => $6), clock_timestamp() + make_interval(secs => $7))
ON CONFLICT (credential) DO UPDATE SET
    fingerprint = excluded.fingerprint, sealed = excluded.sealed,
    issued_at = excluded.issued_at, expires_at = excluded.expires_at
WHERE held.issued_at <= excluded.issued_at OR held.issued_at > clock_timestamp()
"""
DROP = """
WITH gone AS (DELETE FROM tokens WHERE credential = $1 AND fingerprint = $2)
INSERT INTO token_drops (fingerprint) VALUES ($2)
"""
DROPPED = """
SELECT DISTINCT fingerprint, dropped_at FROM token_drops
WHERE dropped_at > clock_timestamp() - make_interval(secs => $1)
"""
# A lease that lasts longer than ours do was not made here; nobody may ever end it.
LOCK = """
INSERT INTO token_leases AS held (credential, owner, ends_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (credential) DO UPDATE SET
    owner = excluded.owner, failure = NULL, ends_at = excluded.ends_at
WHERE held.ends_at <= clock_timestamp() OR held.owner = excluded.owner
    OR (held.failure IS NULL AND held.ends_at > excluded.ends_at + interval '1 s')
"""
UNLOCK = "DELETE FROM token_leases WHERE credential = $1 AND owner = $2"
SHARE_FAILURE = """
INSERT INTO token_leases (credential, owner, failure, ends_at)
VALUES ($1, '', $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (credential) DO UPDATE SET
    owner = excluded.owner, failure = excluded.failure, ends_at = excluded.ends_at
"""
# Few at a time, and none that another process deletes just now, so that nobody waits for it.
PRUNE_TOKENS = """
DELETE FROM tokens WHERE credential IN (
    SELECT credential FROM tokens WHERE expires_at < clock_timestamp() - interval '1 hour'
    LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""
PRUNE_LEASES = """
DELETE FROM token_leases WHERE credential IN (
    SELECT credential FROM token_leases WHERE ends_at < clock_timestamp() - interval '1 hour'
    LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""
PRUNE_DROPS = """
DELETE FROM token_drops WHERE ctid IN (
    SELECT ctid FROM token_drops WHERE dropped_at < clock_timestamp() - interval '1 hour'
    LIMIT 10000 FOR UPDATE SKIP LOCKED)
"""
