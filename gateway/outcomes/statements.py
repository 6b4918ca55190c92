"""The statements of the outcome records in Postgres; each serves several calls.

Rows are written in the order of their keys, so that no two statements wait for one another.
"""

from __future__ import annotations

LOOK = """
SELECT asked.n - 1 AS place, o.*, coalesce(w.ends_at > clock_timestamp(), false) AS lives,
    coalesce(extract(epoch FROM clock_timestamp() - o.since), 0)::float8 AS age
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (alias, call_id, n)
JOIN outcomes AS o USING (alias, call_id)
LEFT JOIN outcome_owners AS w ON w.owner = o.owner
"""
CLAIM = """
INSERT INTO outcomes (alias, call_id, fingerprint, state, owner, since)
SELECT alias, call_id, fingerprint, state, owner, clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[])
    AS asked (alias, call_id, fingerprint, state, owner)
ORDER BY alias, call_id
ON CONFLICT DO NOTHING
RETURNING alias, call_id
"""
TAKE_OVER = """
UPDATE outcomes SET state = $6, owner = $7, since = coalesce(since, clock_timestamp()),
    changed_at = clock_timestamp()
WHERE alias = $1 AND call_id = $2 AND state = $3 AND owner = $4 AND changed_at = $5
"""
BEGIN = """
INSERT INTO outcomes AS o (alias, call_id, fingerprint, state, owner, since)
SELECT alias, call_id, fingerprint, 'S', $4, clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS asked (alias, call_id, fingerprint)
ORDER BY alias, call_id
ON CONFLICT (alias, call_id) DO UPDATE SET state = 'S', changed_at = clock_timestamp()
WHERE o.owner = excluded.owner AND o.fingerprint = excluded.fingerprint AND o.state IN ('C', 'S')
RETURNING alias, call_id
"""
COMPLETE = """
INSERT INTO outcomes AS o (alias, call_id, fingerprint, state, owner, since, recorded)
SELECT alias, call_id, fingerprint, 'R', $5, clock_timestamp(), recorded
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[])
    AS asked (alias, call_id, fingerprint, recorded)
ORDER BY alias, call_id
ON CONFLICT (alias, call_id) DO UPDATE
    SET state = 'R', recorded = excluded.recorded, changed_at = clock_timestamp()
WHERE o.state <> 'R' AND o.fingerprint = excluded.fingerprint
RETURNING alias, call_id
"""
REMEMBER = """
INSERT INTO outcomes AS o (alias, call_id, fingerprint, state, owner)
SELECT alias, call_id, fingerprint, 'K', ''
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS asked (alias, call_id, fingerprint)
ORDER BY alias, call_id
ON CONFLICT (alias, call_id) DO UPDATE
    SET state = 'K', owner = '', changed_at = clock_timestamp(),
        since = CASE WHEN $5 THEN o.since END
WHERE o.owner = $4 AND o.fingerprint = excluded.fingerprint AND o.state IN ('C', 'S')
"""
FORGET = """
WITH gone AS (
    SELECT o.ctid FROM outcomes AS o
    JOIN unnest($1::text[], $2::text[], $3::bytea[]) AS asked (alias, call_id, fingerprint)
        USING (alias, call_id, fingerprint)
    WHERE o.owner = $4 AND o.state IN ('C', 'S')
    ORDER BY alias, call_id FOR UPDATE OF o
)
DELETE FROM outcomes WHERE ctid IN (SELECT ctid FROM gone)
"""
BEAT = """
INSERT INTO outcome_owners (owner, ends_at)
VALUES ($1, clock_timestamp() + $2 * interval '1 second')
ON CONFLICT (owner) DO UPDATE SET ends_at = excluded.ends_at
"""
LEAVE = """
DELETE FROM outcome_owners
WHERE owner = $1 OR ends_at < clock_timestamp() - interval '1 minute'
"""
PURGE = """
DELETE FROM outcomes WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM outcomes WHERE changed_at < clock_timestamp() - $1 * interval '1 second'
    LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""
