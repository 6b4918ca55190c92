"""What the addresses of RabbitMQ, Redis, Postgres and Feishu must be like. Pure."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit, urlunsplit

SCHEMES: Final = {
    "rabbitmq_url": ("amqp", "amqps"),
    "redis_url": ("redis", "rediss"),
    "database_url": ("postgresql", "postgres"),
}
"""Of each setting; the second of RabbitMQ and of Redis is with TLS."""
_EXAMPLES: Final = frozenset({"guest", "local-only"})
"""Passwords that everybody knows: RabbitMQ's own, and that of our compose file."""
_OFF: Final = frozenset({"", "0", "f", "false", "n", "no"})
_VERIFIES: Final = "verify-full"


def checked_url(field: str, url: str, ca_file: Path | None, *, production: bool) -> str:
    """The URL of a server, with TLS by *ca_file*; raises ValueError saying what it must be."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES[field]:
        begins = " or ".join(f"{scheme}://" for scheme in SCHEMES[field])
        raise ValueError(f"must be a URL that begins {begins}")
    _check_port(parts)
    if trusts_anybody(field, url):
        raise ValueError("must not turn certificate verification off")
    if ca_file is not None:
        url = with_ca(field, url, ca_file)
    if production and (weak := list(weaknesses(field, url))):
        raise ValueError(f"in production it {', and it '.join(weak)}")
    return url


def checked_domain(value: str) -> str:
    """The domain without a slash at its end; raises ValueError saying what it must be."""
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be an http(s) URL such as https://open.feishu.cn")
    _check_port(parts)
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError("must be a scheme and a host, without path, query or user")
    if parts.scheme == "http" and not _is_local(parts.hostname):
        raise ValueError("must be https, except for the loopback address or a service name")
    return value.rstrip("/")


def trusts_anybody(field: str, url: str) -> bool:
    """Whether an option of the URL turns the check of certificates off, or a part of it."""
    for name, value in _options(urlsplit(url)):
        match field, name:
            case "rabbitmq_url", "no_verify_ssl":
                return True
            case "redis_url", "ssl_cert_reqs" if value.lower() != "required":
                return True
            case "redis_url", "ssl_check_hostname" if value.lower() in _OFF:
                return True
            case "redis_url", "ssl_exclude_verify_flags":
                return True
    return False


def with_ca(field: str, url: str, ca_file: Path) -> str:
    """The URL with TLS that trusts this file's authorities; raises ValueError where it cannot."""
    parts = urlsplit(url)
    options = dict(_options(parts))
    added = {}
    if field == "database_url":
        if options.get("sslmode", _VERIFIES) != _VERIFIES:
            raise ValueError(f"its sslmode must be {_VERIFIES} where a CA file is set")
        added = {"sslmode": _VERIFIES, "sslrootcert": str(ca_file)}
    else:
        secure = SCHEMES[field][1]
        if parts.scheme != secure:
            raise ValueError(f"must begin {secure}:// where a CA file is set")
        added = {"cafile" if field == "rabbitmq_url" else "ssl_ca_certs": str(ca_file)}
    new = [f"{name}={quote(value)}" for name, value in added.items() if name not in options]
    query = "&".join(filter(None, (parts.query, *new)))
    return urlunsplit(parts._replace(query=query))


def weaknesses(field: str, url: str) -> Iterator[str]:
    """What keeps the URL out of production; nothing for a server on this machine."""
    parts = urlsplit(url)
    options = dict(_options(parts))
    if _is_here(parts, options):
        return
    if field == "database_url":
        if options.get("sslmode") != _VERIFIES:
            yield f"must have sslmode={_VERIFIES}, which LARK_SERVICE_POSTGRES_CA_FILE brings"
    elif parts.scheme != SCHEMES[field][1]:
        yield f"must begin {SCHEMES[field][1]}://"
    password = unquote(parts.password or options.get("password", ""))
    if field == "rabbitmq_url":
        external = options.get("auth", "").lower() == "external"
        # Without a user the client library logs in as guest.
        if not external and unquote(parts.username or "guest") == "guest":
            yield "must name a user of its own, not guest"
    if field == "redis_url" and not password:
        yield "must have a password"
    if password in _EXAMPLES and parts.username != "guest":
        yield "its password is an example's"


def trusting(ca_file: Path | None) -> ssl.SSLContext | bool:
    """What aiohttp is to check certificates by: the system's authorities, and this file's."""
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context


def certificate_flaw(error: BaseException | None) -> str | None:
    """Why a certificate was not accepted, where that is what stands behind the error."""
    while error is not None:
        # aiohttp's own error of this kind does not tell; the one behind it does.
        reason = getattr(error, "verify_message", "")
        if isinstance(error, ssl.SSLCertVerificationError) and reason:
            return f"its certificate is not accepted: {reason}"
        error = error.__cause__ or error.__context__
    return None


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by its address or as localhost."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_port(parts: SplitResult) -> None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        # Its own words would tell what stands there: part of a password, if an @ is missing.
        raise ValueError("must have a port from 1 to 65535, or none")


def _is_local(host: str) -> bool:
    # A name without a dot is a service of the same compose file or cluster: the sandbox.
    return host in ("127.0.0.1", "::1") or ("." not in host and ":" not in host)


def _is_here(parts: SplitResult, options: dict[str, str]) -> bool:
    # Where the address names none, the libraries look among the options.
    host = parts.hostname or options.get("host") or "localhost"
    return host.startswith("/") or is_loopback(host)


def _options(parts: SplitResult) -> list[tuple[str, str]]:
    return parse_qsl(parts.query, keep_blank_values=True)
