"""The exceptions that users see."""


class UserError(Exception):
    """Bad input or usage: one line that names the thing and the mend; exit code 2."""


class Resumable(KeyboardInterrupt):
    """The user stopped work, its state is saved, and the same command goes on with it."""
