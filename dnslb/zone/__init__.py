"""What zone files say: records as octets, and how they are read."""
