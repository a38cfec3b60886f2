"""TLS, logins and access rights of a secured stack: docs/secured.md."""
