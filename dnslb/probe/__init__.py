"""One conversation with a mail server, and when to hold it with whom."""
