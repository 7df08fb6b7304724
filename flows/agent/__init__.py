"""What an agent gets: tools over the Model Context Protocol, started as ``gemmflow mcp``.

    analyze -> submit -> status ... -> preview        cancel        analyze_shape, analyze_model, list_devices

    server, bearer      the protocol on standard input and output, or HTTP     (the only files that know the library `mcp`, with tools)
    tools, values       what can be called, and what comes back
    faults              errors as code, cause and fix
    roots               which files a job may name
    planning -> answering           plans and advice are made in a process of its own
    planner | advisor, options      a plan | what suits a shape or a model; other devices
    store -> kept, runs             plans and runs on disk: whatever dies, what was answered stays true
    launch -> detach -> child       the run, a process that the server's end does not reach
    report, preview, devices        how a run is, what it made, what this machine can do

The server keeps nothing in memory that an answer depends on: it may be killed at any moment, and another one goes on.
"""
