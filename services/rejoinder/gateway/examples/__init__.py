"""Small applications before the gateway, to be read and copied."""
