"""The one exception that users see."""


class UserError(Exception):
    """Bad input or usage: one line that names the thing and the mend; exit code 2."""
