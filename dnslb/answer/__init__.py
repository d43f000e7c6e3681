"""Zones and pools become octets, and octets become one response (pure)."""
