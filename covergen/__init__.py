"""Album art for music libraries, painted from the sound itself."""

__version__ = "0.1.0"
