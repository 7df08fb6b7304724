"""The stages of a multiplication and what they need, one idea a file; see docs for the order in which they run."""
