"""Environment variables that are read, one row each: `docs/reference/environment.md` is made of it; a test compares it with the code."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """What one of them says."""

    name: str
    meaning: str
    default: str
    """What holds without it."""


VARIABLES = (
    Variable("GEMMFLOW_CACHE", "Folder of calibrations, their history and Prefect's records", "gemmflow in XDG_CACHE_HOME"),
    Variable("GEMMFLOW_CLUSTERS", "Folders of cluster files, as PATH is written, before ~/.config/gemmflow/clusters", "none"),
    Variable("GEMMFLOW_HISTORY", "off: earlier runs are neither read nor recorded for what a plan predicts", "on"),
    Variable("GEMMFLOW_KEYS", "Folder of key files, KEY-ID.key with mode 600 or 400", "none"),
    Variable("GEMMFLOW_KEY_", "Followed by the name of a key, in capitals with _ for -: the key, as 64 hex digits or base64", "none"),
    Variable(
        "GEMMFLOW_TLS",
        "Folder with ca.pem, cert.pem and key.pem for Dask; no: local workers talk in the clear",
        "certificates made for one run",
    ),
    Variable("GEMMFLOW_LOG", "json: what is said on standard error is JSON, a line each", "text"),
    Variable("GEMMFLOW_METRICS", "Port at which a run serves Prometheus metrics on this host, its workers at the next ones", "none"),
    Variable("GEMMFLOW_MCP_TOKEN", "Token that requests to `gemmflow mcp --http` must bear", "none is asked, on loopback alone"),
    Variable("XDG_CACHE_HOME", "The user's cache folder", "~/.cache"),
    Variable("PREFECT_API_URL", "Prefect server that records the run", "a temporary one"),
    Variable("PREFECT_API_AUTH_STRING", "Its user and password, as user:password", "none"),
    Variable("PREFECT_HOME", "Where a temporary server keeps its records", "prefect-VERSION in GEMMFLOW_CACHE"),
    Variable("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "How much of Prefect's logs reaches the terminal", "CRITICAL; with --debug INFO"),
    Variable("CUDA_VISIBLE_DEVICES", "GPUs that count", "all"),
    Variable("OMP_NUM_THREADS", "BLAS threads of a worker that somebody else starts; workers of a run get those of the plan", "1"),
    Variable("AWS_ENDPOINT_URL_S3", "Address of the object store, before AWS_ENDPOINT_URL", "the profile's, then Amazon S3"),
    Variable("AWS_ENDPOINT_URL", "The same for all services", "the profile's, then Amazon S3"),
    Variable("AWS_REGION", "Region of the object store, before AWS_DEFAULT_REGION", "the profile's, then us-east-1"),
    Variable("AWS_DEFAULT_REGION", "The same", "the profile's, then us-east-1"),
    Variable("AWS_ACCESS_KEY_ID", "Credentials, with AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN", "the profile's, then the host's role"),
    Variable("AWS_SKIP_SIGNATURE", "true: read public buckets without credentials", "false"),
    Variable("AWS_PROFILE", "Section of the files below", "default"),
    Variable("AWS_CONFIG_FILE", "Settings of profiles", "~/.aws/config"),
    Variable("AWS_SHARED_CREDENTIALS_FILE", "Credentials of profiles", "~/.aws/credentials"),
)
