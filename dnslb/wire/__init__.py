"""The octets of one DNS message (pure)."""
