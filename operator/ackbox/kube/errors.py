"""What an API server can answer instead of success.

ApiError
├── NotFound        404
├── Forbidden       403
├── AlreadyExists   409, on create
├── Conflict        409, on a stale resourceVersion
├── Invalid         422
└── Unavailable     429 and 5xx, and no connection at all: worth another try
"""


class ApiError(Exception):
    """An API server's refusal.

    Attributes:
        status: HTTP status, 0 when the server wasn't reached.
        reason: Kubernetes' machine-readable reason.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NotFound(ApiError):
    """The object, or its namespace, isn't there."""


class Forbidden(ApiError):
    """Not allowed, by RBAC or an admission policy."""


class AlreadyExists(ApiError):
    """An object of that name is there already."""


class Conflict(ApiError):
    """The object has changed since it was read."""


class Invalid(ApiError):
    """The object breaks its schema or a rule."""


class Unavailable(ApiError):
    """The server can't answer now."""


PASSING = (Conflict, NotFound, Unavailable)
"""What another try gets over by itself. All else is a refusal, and somebody must do something about it."""


def api_error(status: int, reason: str, message: str) -> ApiError:
    """The most exact error for an answer."""
    if status == 409:
        return (AlreadyExists if reason == "AlreadyExists" else Conflict)(status, reason, message)
    if status == 429 or status >= 500 or status == 0:
        return Unavailable(status, reason, message)
    return {404: NotFound, 403: Forbidden, 422: Invalid}.get(status, ApiError)(status, reason, message)
