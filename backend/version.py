"""The version of this Easel; written into every picture."""

VERSION = "0.1.0"
