"""Which frames of capture runs a person should label next."""
