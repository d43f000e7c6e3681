"""The settings file becomes frozen values, or a list of problems with their positions."""
