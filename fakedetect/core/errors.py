"""The one exception that a user can cause."""


class UserError(Exception):
    """Bad input, reported in one line: what is wrong, where, and what to do next."""


class ProcessError(UserError):
    """What one process of several has met, while the others may not know."""
