-- Overflow queues: every process finds here, after a restart too, where calls may wait.
CREATE TABLE overflow_queues (
    name       text PRIMARY KEY,
    app        text NOT NULL,
    lane       text NOT NULL,
    -- The key of the bucket whose excess it takes, what metrics call that bucket, its windows.
    bucket     text NOT NULL,
    label      text NOT NULL,
    windows    text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- A call was moved or taken about then: a queue that is empty and idle for long is removed.
    used_at    timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX overflow_queues_used_at ON overflow_queues (used_at);
