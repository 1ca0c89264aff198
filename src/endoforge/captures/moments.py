"""When one frame is another moment than the frame before it."""

LEAST_STEP_S = 1e-3
"""Files round the times of frames to this, and no camera of this field takes a thousand a second:
what lies closer together is one moment, written twice or with the noise of arithmetic."""
_ROUNDING_S = 1e-6


def is_later(seconds: float, before: float) -> bool:
    """Whether a frame at `seconds` comes after one at `before`: a millisecond at the least.

    False where either isn't a number.
    """
    return seconds - before >= LEAST_STEP_S - _ROUNDING_S
