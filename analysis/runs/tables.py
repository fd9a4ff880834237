"""The rows of the store. Times are seconds since the epoch (UTC); what is JSON is a contract's dump."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, Integer, MetaData, String, Table, Text

SCHEMA_VERSION = 1
metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),  # the order of the queue
    Column("id", String(16), unique=True, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("host", String(255), nullable=False),
    Column("device", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("payload", JSON, nullable=False),
    Column("twin_key", String(64), nullable=False, index=True),  # same key while active: the same work, asked for twice
    Column("progress", JSON),
    Column("error", JSON),
    Column("notes", JSON, nullable=False),
    Column("result_id", String(64)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("cancel", Boolean, nullable=False, default=False),
    Column("owner", String(32)),  # id of the worker that holds the lease
    Column("heartbeat", Float),
    Column("lease_until", Float),
    sqlite_autoincrement=True,
)

workers = Table(
    "workers",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("id", String(32), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("model", Text),
    Column("memory_bytes", Integer),
    Column("unload", Boolean, nullable=False, default=False),
    Column("heartbeat", Float, nullable=False),
    Column("lease_until", Float, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("content_key", Text, nullable=False),
    Column("artifact", Text, nullable=False),  # its own file, never shared: two processes may store the same content key at once
    Column("origin", String(16), nullable=False),  # measured here | imported: only the first answers new requests
    Column("name", Text, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

requests = Table(
    "requests",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("run_id", String(64), nullable=False, index=True),
)

plans = Table(
    "plans",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("summary", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

plan_events = Table(
    "plan_events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),  # the order of a plan's life
    Column("plan_id", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("who", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("note", Text, nullable=False),
    sqlite_autoincrement=True,
)

searches = Table(
    "searches",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("content_key", Text, nullable=False),
    Column("model_commit", Text, nullable=False),
    Column("stack", Text, nullable=False),
    Column("workload_hash", Text, nullable=False),
    Column("artifact", Text, nullable=False),  # another file with every growth: a reader has the old one whole or the new one
    Column("origin", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("answered", JSON, nullable=False),  # what was asked of it and is wholly measured: see `answers`
    Column("stored_at", Float, nullable=False),
)

rankings = Table(
    "rankings",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("content_key", Text, nullable=False),
    Column("model_commit", Text, nullable=False),
    Column("stack", Text, nullable=False),
    Column("workload_hash", Text, nullable=False),
    Column("artifact", Text, nullable=False),  # another file after every step, as with searches
    Column("origin", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

verifications = Table(
    "verifications",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("plan_id", String(64), nullable=False, index=True),
    Column("artifact", Text, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("request_key", String(64), nullable=False, index=True),  # empty: answers no request
    Column("summary", JSON, nullable=False),
    Column("projection_errors", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

semantics = Table(
    "semantics",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("content_key", Text, nullable=False),
    Column("model_commit", Text, nullable=False),
    Column("stack", Text, nullable=False),
    Column("workload_hash", Text, nullable=False),
    Column("artifact", Text, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

trials = Table(
    "trials",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("plan_id", String(64), nullable=False, index=True),
    Column("model_commit", Text, nullable=False),
    Column("stack", Text, nullable=False),
    Column("workload_hash", Text, nullable=False),
    Column("artifact", Text, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("request_key", String(64), nullable=False, index=True),  # empty: answers no request
    Column("summary", JSON, nullable=False),
    Column("projection_errors", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

healings = Table(
    "healings",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("plan_id", String(64), nullable=False, index=True),
    Column("artifact", Text, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("request_key", String(64), nullable=False, index=True),  # empty: answers no request
    Column("summary", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

robustness_tests = Table(
    "robustness_tests",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("plan_id", String(64), nullable=False, index=True),
    Column("artifact", Text, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("request_key", String(64), nullable=False, index=True),  # empty: answers no request
    Column("summary", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

cases = Table(
    "cases",
    metadata,
    Column("id", String(64), primary_key=True),  # hash of evidence and assumptions: the same case is one row
    Column("plan_id", String(64), nullable=False, index=True),
    Column("artifact", Text, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("plan_id", String(64), primary_key=True),
    Column("document", JSON, nullable=False),  # in the row, not in a file: what is stored is compared and replaced in one transaction
    Column("stored_at", Float, nullable=False),
)

latencies = Table(
    "latencies",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("host", String(255), nullable=False),  # times of another machine answer nothing here
    Column("model_commit", Text, nullable=False),
    Column("stack", Text, nullable=False),
    Column("device_name", Text, nullable=False),
    Column("dtype", String(32), nullable=False),
    Column("document", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

steps = Table(
    "steps",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("host", String(255), nullable=False),  # as with latencies
    Column("model_commit", Text, nullable=False),
    Column("stack", Text, nullable=False),
    Column("device_name", Text, nullable=False),
    Column("shape", String(64), nullable=False),  # hash of what a training step was
    Column("document", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)

exports = Table(
    "exports",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("plan_id", String(64), nullable=False, index=True),
    Column("document", JSON, nullable=False),
    Column("stored_at", Float, nullable=False),
)
