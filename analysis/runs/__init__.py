"""The run store, the client the pages use, and the worker that does the work.

The store is the only channel between the process that shows things and the process that computes them. A page calls
`client` (free of torch), which writes a job row; a **worker process**, one per device and host, claims the oldest row
by a lease, runs one of the `jobs` and writes progress, result or failure back; the page polls the row. Nothing is
pickled and no socket is opened, so either side may die and come back: a worker that dies loses its lease, its job goes
back to the head of the queue and resumes from its checkpoint, and after three lost attempts it is marked failed in
words. Rows are in `tables` (SQLite by default, any database by ``STRATA_DATABASE``), documents are files in
`artifacts`; `queue`, `workers` and `run_library` are the three views on them that `store` puts together. `executor` is the
seam behind which a job is done by this machine (default) or by a Ray cluster.

| variable | meaning | default |
|---|---|---|
| `STRATA_HOME` | where everything is kept | `~/.strata` |
| `STRATA_DATABASE` | database URL of the store | an SQLite file there |
| `STRATA_ARTIFACTS` | where documents are kept, any fsspec URL | a folder there |
| `STRATA_EXECUTOR` | who does jobs: `local`, `none` (workers are started by hand) or `ray` | `local` |
| `STRATA_IDLE_MINUTES` | after how long a worker gives an unused model's memory back | 10 |

    client -> store (queue, workers, run_library) <- worker -> jobs -> profiling, models
       `----> executor (starts the worker)
"""
