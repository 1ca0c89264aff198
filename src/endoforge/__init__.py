"""EndoForge teaches a tiny detector to find polyps, with colonoscopy video that it simulates."""

__version__ = "0.1.0"
