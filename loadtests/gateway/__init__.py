"""What the gateway adds to a bare OpenAI-compatible server, beside LiteLLM's proxy: `make bench WHAT=gateway`."""
