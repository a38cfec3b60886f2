"""Access control: API key, Host and Origin checks, stream limits, security headers."""
