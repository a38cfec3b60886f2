"""Every figure that the README claims, each by one command."""
