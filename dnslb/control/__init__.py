"""The doors for operators: the control socket and HTTP."""
