"""What the address of a request says."""

from starlette.requests import Request

from endoforge.core.errors import UserError

MOST_DIGITS = 15
"""Of a number in an address: it is below 2^53, which JavaScript's numbers can hold."""


def number_of(request: Request, name: str, default: int) -> int:
    """The whole number of a request's query; raises UserError for what is none."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > MOST_DIGITS:
        raise UserError(f"{name}: must be a whole number")
    return int(text)
