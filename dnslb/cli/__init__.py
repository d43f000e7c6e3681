"""The words that a person types."""
