"""The version of the package. The build of the package reads it from this file."""

__version__ = "0.1.0"
