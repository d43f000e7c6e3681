"""The settings file becomes frozen values, or a list of problems with their positions."""

from dnslb.config.loading import find, load
from dnslb.config.problem import ConfigError, Problem
from dnslb.config.settings import Endpoint, ServerSettings, Settings

__all__ = ["ConfigError", "Endpoint", "Problem", "ServerSettings", "Settings", "find", "load"]
