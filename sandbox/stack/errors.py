"""What can go wrong with the private servers; each message says what to do."""


class StackError(Exception):
    """A private server could not be started, stopped or reached."""


class ServerMissingError(StackError):
    """The server is neither here nor given by a URL; the message says what to install."""


class NotOursError(StackError):
    """The server was given by a URL, so the stack may not stop, kill or pause it."""
