"""Who may ask for what over HTTP.

On a loopback address, reading is open to everybody on the machine. A web page from anywhere may make a browser ask
there under a name that its author points to it (DNS rebinding), so who shows no token must call us by a loopback name
or by the address that it reached. On any other address all but the page's own files needs a token, and changing
something needs one everywhere. Tokens come in the Authorization header, never in cookies: no other page can send them.
"""

from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address

from aiohttp import hdrs, web

from dnslb.control.http.tokens import Scope, Token, find

_REALM = 'Bearer realm="dnslb"'
_NONE = 'there are no tokens here: name a file with some in "tokens" of [server], and reload'


class Denied(Exception):  # noqa: N818 -- it is an answer, not a fault of the program
    """A request is not for who asks: a status, a word for programs, a sentence for people, and headers."""

    def __init__(self, status: HTTPStatus, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules of one door: whether its address is other than loopback, and which tokens there are."""

    public: bool
    tokens: tuple[Token, ...] = ()

    def admit(self, request: web.BaseRequest, scope: Scope) -> Token | None:
        """Return the token that a request shows, None if it shows and needs none. Raise Denied."""
        token = self._shown(request)
        if token is not None and not token.may(scope):
            raise _forbidden(f"this token is for reading only, and this needs one of scope {scope}")
        if token is None and scope is Scope.WRITE and not self.tokens:
            raise _forbidden(_NONE)
        if token is None and (self.public or scope is Scope.WRITE):
            raise _unauthorized(f"a token of scope {scope} is needed: send Authorization: Bearer TOKEN", _REALM)
        if token is None and not is_ours(request.headers.get(hdrs.HOST, ""), (reached := _reached(request))[0]):
            raise _misdirected(*reached)
        if token is None and _is_of_another_page(request):
            raise _forbidden("a page of another origin may not ask here without a token")
        return token

    def _shown(self, request: web.BaseRequest) -> Token | None:
        """Return the token that comes with a request, None if none does: other schemes are a proxy's business."""
        scheme, _, text = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        if not self.tokens:
            raise _forbidden(_NONE)
        token = find(self.tokens, text.strip())
        if token is None:
            raise _unauthorized("this token is wrong", f'{_REALM}, error="invalid_token"')
        return token


def _is_of_another_page(request: web.BaseRequest) -> bool:
    """Return whether a browser asks for a page of another origin, and not because somebody follows a link.

    The page could not read the answer, but have the browser ask for the most expensive ones, again and again.
    """
    site, mode = request.headers.get("Sec-Fetch-Site"), request.headers.get("Sec-Fetch-Mode")
    return site in {"cross-site", "same-site"} and mode != "navigate"


def check_origin(request: web.BaseRequest) -> None:
    """Raise Denied if a browser says that the page which asks is not ours."""
    origin = request.headers.get(hdrs.ORIGIN)
    host = request.headers.get(hdrs.HOST, "")
    if origin is not None and origin.lower() not in {f"http://{host}".lower(), f"https://{host}".lower()}:
        raise _forbidden("a page of another origin may change nothing here")


def _forbidden(message: str) -> Denied:
    return Denied(HTTPStatus.FORBIDDEN, "forbidden", message)


def _unauthorized(message: str, challenge: str) -> Denied:
    return Denied(HTTPStatus.UNAUTHORIZED, "unauthorized", message, {hdrs.WWW_AUTHENTICATE: challenge})


def _misdirected(address: str, port: int) -> Denied:
    host = f"[{address}]" if ":" in address else address
    message = f"this is not that host: ask for http://{host}:{port} instead, or show a token"
    return Denied(HTTPStatus.MISDIRECTED_REQUEST, "misdirected", message)


def _reached(request: web.BaseRequest) -> tuple[str, int]:
    """Return the address and port of ours that the connection reached, nothing if it is gone already."""
    sockname = request.get_extra_info("sockname")
    return (str(sockname[0]), int(sockname[1])) if sockname else ("", 0)


def is_ours(host: str, reached: str) -> bool:
    """Return whether a Host header names loopback, or the address that the connection reached."""
    name = _without_port(host).lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or str(address) == reached


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0]
    return host.partition(":")[0]
