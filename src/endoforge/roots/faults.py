"""What went wrong with object storage, told apart by what can be done about it.

The libraries of the three kinds raise many classes, some of which come with the extra alone. So
they are told by the codes and names that they carry, never by their types.
"""

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from endoforge.core.errors import is_full

Kind = Literal["absent", "no bucket", "credentials", "forbidden", "unreachable", "busy", "broken"]

_CODES: dict[str, Kind] = {
    "NoSuchBucket": "no bucket",
    "ContainerNotFound": "no bucket",
    "NoSuchKey": "absent",
    "BlobNotFound": "absent",
    "InvalidAccessKeyId": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "ExpiredToken": "credentials",
    "InvalidToken": "credentials",
    "TokenRefreshRequired": "credentials",
    "AuthorizationHeaderMalformed": "credentials",
    "AuthenticationFailed": "credentials",
    "AccessDenied": "forbidden",
    "AllAccessDisabled": "forbidden",
    "AuthorizationFailure": "forbidden",
    "AuthorizationPermissionMismatch": "forbidden",
    "SlowDown": "busy",
    "ServiceUnavailable": "busy",
    "ServerBusy": "busy",
    "RequestLimitExceeded": "busy",
    "Throttling": "busy",
    "TooManyRequests": "busy",
}
_STATUSES: dict[int, Kind] = {
    401: "credentials",
    403: "forbidden",
    404: "absent",
    429: "busy",
    503: "busy",
}
_NAMES: dict[str, Kind] = {
    "NoCredentialsError": "credentials",
    "PartialCredentialsError": "credentials",
    "CredentialRetrievalError": "credentials",
    "ProfileNotFound": "credentials",
    "TokenRetrievalError": "credentials",
    "SSOTokenLoadError": "credentials",
    "DefaultCredentialsError": "credentials",
    "RefreshError": "credentials",
    "ClientAuthenticationError": "credentials",
    "EndpointConnectionError": "unreachable",
    "ConnectTimeoutError": "unreachable",
    "ClientConnectorError": "unreachable",
    "ServiceRequestError": "unreachable",
}
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_TOKEN",
}
_ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST", "az": "the account's name"}


@dataclass(frozen=True)
class Fault:
    """One thing that went wrong: what can be done about it, and what the library said."""

    kind: Kind
    said: str

    @property
    def may_pass(self) -> bool:
        """Whether the same may work a little later."""
        return self.kind in ("busy", "broken", "unreachable")

    def words(self, scheme: str, doing: str) -> str:
        """What is wrong and the mend, in one line that goes on from the address."""
        if self.kind == "absent":
            return f"isn't there ({self.said}); name another"
        if self.kind == "no bucket":
            return "there is no such bucket; make it, or name another"
        if self.kind == "credentials":
            return f"no credentials that are taken ({self.said}); set {_CREDENTIALS[scheme]}"
        if self.kind == "forbidden":
            return (
                f"these credentials may not {doing} there ({self.said}); have it allowed, or name "
                "another place"
            )
        if self.kind == "unreachable":
            return (
                f"can't be reached ({self.said}); look at the network, and at {_ENDPOINTS[scheme]}"
            )
        if self.kind == "busy":
            return (
                f"the server puts off every request ({self.said}); run the same command again "
                "later, it goes on"
            )
        return f"can't {doing} ({self.said}); run the same command again, it goes on"


def fault_of(error: BaseException) -> Fault | None:
    """What an error of a library for object storage says; None if it isn't of the storage.

    Errors of this machine's disk, such as a full one, aren't.
    """
    chain = list(_chain(error))
    if any(is_full(one) for one in chain):
        return None
    said = _one_line(chain[0])
    for one in chain:
        kind = _kind_by_code(one) or _NAMES.get(type(one).__name__)
        if kind is not None:
            return Fault(kind, said)
    for one in chain:
        if isinstance(one, FileNotFoundError):
            return Fault("absent", said)
        if isinstance(one, PermissionError) and one.errno is None:
            return Fault("forbidden", said)
        if isinstance(one, socket.gaierror | ConnectionRefusedError):
            return Fault("unreachable", said)
        if isinstance(one, OSError) and one.errno == errno.EBUSY:
            return Fault("busy", said)
    if isinstance(chain[0], OSError) and chain[0].filename is not None:
        return None
    return Fault("credentials" if "credential" in said.lower() else "broken", said)


def is_taken(error: BaseException) -> bool:
    """Whether an error says that an object of the name is there, which was to be a new one."""
    return any(
        isinstance(one, FileExistsError)
        or getattr(one, "code", None) in (409, 412)
        or getattr(one, "status_code", None) in (409, 412)
        for one in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _kind_by_code(error: BaseException) -> Kind | None:
    response: Any = getattr(error, "response", None)
    told = response.get("Error", {}) if isinstance(response, dict) else {}
    for code in (told.get("Code"), getattr(error, "error_code", None)):
        if code is None:
            continue
        text = str(getattr(code, "value", code))
        if text in _CODES:
            return _CODES[text]
        if text.isdecimal():
            return _STATUSES.get(int(text))
    for status in (getattr(error, "code", None), getattr(error, "status_code", None)):
        if isinstance(status, int) and status in _STATUSES:
            return _STATUSES[status]
    return None


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]} ..."
