"""dnslb: a DNS-based load balancer for mail."""

__version__ = "0.1.0"
