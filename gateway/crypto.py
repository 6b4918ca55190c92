"""Secrets at rest: AES-256-GCM under a ring of keys.

A sealed value is: version (1 byte), key id (4), nonce (12), ciphertext with its tag. The version,
the key id and the caller's context are authenticated with it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from .errors import ConfigError

_KEY_BYTES = 32
_VERSION = b"\x01"
_ID_BYTES = 4
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEADER_BYTES = len(_VERSION) + _ID_BYTES
_HEX = re.compile(r"[0-9A-Fa-f]{64}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{43}=?")


class Undecryptable(Exception):
    """A sealed value that no key of the ring opens; the message holds neither text nor key."""


class KeyRing:
    """Seals with the newest key and opens with any, so that keys can be exchanged while in use."""

    def __init__(self, keys: Sequence[bytes], *, derived: bool = False) -> None:
        """Take keys of 32 bytes, newest first; raises ValueError on anything else."""
        if not keys:
            raise ValueError("a key ring needs at least one key")
        if any(len(key) != _KEY_BYTES for key in keys):
            raise ValueError(f"every key must be {_KEY_BYTES} bytes")
        self._keys = tuple((_key_id(key), AESGCM(key)) for key in keys)
        self._listeners: list[Callable[[str], None]] = []
        self.derived = derived
        """Whether its key comes from the app secret, and so is lost when that changes."""

    @classmethod
    def from_text(cls, text: str) -> KeyRing:
        """Read keys in hex, base64 or base64url, newest first, separated by commas.

        Raises ValueError that says which key is wrong and how to make one, without showing it.
        """
        items = [item.strip() for item in text.split(",")]
        return cls([_read_key(item, place) for place, item in enumerate(items, start=1)])

    @classmethod
    def derived_from(cls, secret: str) -> KeyRing:
        """Derive the only key from the app secret, by HKDF-SHA256.

        Every process of the app holds that secret anyway, so they share a key that nobody has to
        configure, and a copy of Redis or Postgres alone opens nothing. When the secret changes,
        what was sealed counts as missing; for tenant tokens that costs one token request.
        """
        if not secret:
            raise ValueError("no key can be derived from an empty secret")
        derive = HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"lark-service secrets at rest 1")
        return cls([derive.derive(secret.encode())], derived=True)

    @classmethod
    def of(cls, secret_key: SecretStr | None, app_secret: SecretStr) -> KeyRing:
        """The ring of LARK_SERVICE_SECRET_KEY, or of LARK_APP_SECRET where that is unset.

        Raises ConfigError that says of LARK_SERVICE_SECRET_KEY what is wrong, without showing it.
        """
        if secret_key is None:
            return cls.derived_from(app_secret.get_secret_value())
        try:
            return cls.from_text(secret_key.get_secret_value())
        except ValueError as error:
            raise ConfigError(f"LARK_SERVICE_SECRET_KEY: {error}") from None

    def renew(self, other: KeyRing) -> None:
        """Take the keys of *other* from now on, for all who hold this ring."""
        self._keys, self.derived = other._keys, other.derived

    def on_secret(self, listener: Callable[[str], None]) -> None:
        """Have this called with each text that is sealed or opened: all of them are secrets."""
        self._listeners.append(listener)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys in hex, newest first; an id tells nothing of its key."""
        return tuple(key_id.hex() for key_id, _ in self._keys)

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt for one place: *context* names it, and only the same context opens it again."""
        self._tell(plaintext)
        key_id, cipher = self._keys[0]
        header = _VERSION + key_id
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + cipher.encrypt(nonce, plaintext, header + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt what `seal` made for the same context, or raise Undecryptable."""
        if len(sealed) < _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES:
            raise Undecryptable("a sealed value is cut short or is none")
        if sealed[:1] != _VERSION:
            raise Undecryptable("a sealed value has a version that this program does not know")
        header = sealed[:_HEADER_BYTES]
        nonce = sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        ciphers = [cipher for key_id, cipher in self._keys if key_id == header[1:]]
        if not ciphers:
            raise Undecryptable(
                f"a value is sealed with the key {header[1:].hex()}, which is not in the key ring"
            )
        for cipher in ciphers:
            try:
                plaintext = cipher.decrypt(
                    nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], header + context
                )
            except InvalidTag:
                continue
            self._tell(plaintext)
            return plaintext
        raise Undecryptable("a sealed value was changed or belongs to another place")

    def _tell(self, plaintext: bytes) -> None:
        for listener in self._listeners:
            listener(plaintext.decode(errors="replace"))


def key_id_of(sealed: bytes) -> str | None:
    """The id in hex of the key that sealed the value; None where it is no sealed value."""
    if sealed[:1] != _VERSION or len(sealed) < _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES:
        return None
    return sealed[1:_HEADER_BYTES].hex()


def context(store: str, table: str, row: bytes, column: str) -> bytes:
    """Name the place of a sealed value; a copy in any other place opens no more."""
    return b"\0".join((b"lark-service", store.encode(), table.encode(), row, column.encode()))


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"lark-service key id" + key).digest()[:_ID_BYTES]


def _read_key(item: str, place: int) -> bytes:
    if _HEX.fullmatch(item):
        return bytes.fromhex(item)
    if _BASE64.fullmatch(item):
        plain = item.rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(plain + "=")
    raise ValueError(
        f"key {place} is not {_KEY_BYTES} bytes in hex, base64 or base64url; "
        "make one with: openssl rand -hex 32"
    )
