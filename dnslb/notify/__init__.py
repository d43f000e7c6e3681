"""Telling others what happens: by webhook, or by a command of the operator's. Who does not listen holds nobody up."""
