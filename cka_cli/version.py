"""The version, as a literal: asking for it must cost nothing."""

__version__ = "0.1.0"
