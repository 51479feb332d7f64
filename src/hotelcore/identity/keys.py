"""Which key may verify which algorithm. A mistake here lets others sign, so it is refused at once.

The algorithms are those of RFC 7518 and RFC 8037 that are safe to use, without ``none``. The
least lengths are those of RFC 7518, sections 3.2 and 3.3.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_public_key,
)

from hotelcore.errors import InvalidInput

__all__ = [
    "ALGORITHMS",
    "HMAC_LENGTHS",
    "LoadedKey",
    "PublicKey",
    "VerificationKey",
    "load",
    "suits",
]

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey
"""A public key of the cryptography package."""

VerificationKey: TypeAlias = PublicKey | str | bytes
"""What a host may give: a public key, as an object or in PEM, or the secret of an HMAC."""

LoadedKey: TypeAlias = PublicKey | bytes
"""A key as it is kept: a public key is an object, so that no HMAC can ever be made with it."""

HMAC_LENGTHS: Mapping[str, int] = MappingProxyType({"HS256": 32, "HS384": 48, "HS512": 64})
"""The HMAC algorithms, each with the least bytes of its secret: those of its hash."""

_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_RSA_BITS = 2_048

ALGORITHMS = frozenset({*HMAC_LENGTHS, *_CURVES, *_RSA, "EdDSA"})
"""Every algorithm that a verifier may allow."""

_FEWEST_BYTES = 8
"""How many different bytes a secret has at least; a random one of 32 has fewer once in 10^34."""


def load(key: object) -> LoadedKey:
    """Return a public key as an object, and anything else as the secret of an HMAC.

    Raises `InvalidInput` for a private key, for a key that cannot be read, and for what is no key.
    """
    if isinstance(key, PublicKey):
        return key
    if not isinstance(key, str | bytes):
        raise InvalidInput("keys", "must be a public key, its PEM, or the secret of an HMAC")
    material = key.encode() if isinstance(key, str) else key
    loaded = _public_key(material)
    if loaded is not None:
        return loaded
    if _is_key_of_another_kind(material):
        reason = "hold a key that is not a readable public key in PEM; give it in that form"
        raise InvalidInput("keys", reason)
    return material


def suits(key: LoadedKey, algorithm: str) -> bool:
    """Tell whether ``key`` is of the kind and strength that ``algorithm`` needs."""
    if isinstance(key, bytes):
        least = HMAC_LENGTHS.get(algorithm)
        return least is not None and len(key) >= least and len(set(key)) >= _FEWEST_BYTES
    if isinstance(key, RSAPublicKey):
        return algorithm in _RSA and key.key_size >= _RSA_BITS
    if isinstance(key, EllipticCurvePublicKey):
        return _CURVES.get(algorithm) == key.curve.name
    return algorithm == "EdDSA"


def _public_key(material: bytes) -> PublicKey | None:
    try:
        found = load_pem_public_key(material)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, PublicKey) else None


# Whoever knows a public key could sign with it where it is taken for a secret, in whatever form
# it came: see CVE-2022-29217, CVE-2026-48526 and GHSA-ffc3-869f-jxw9 of pyjwt.
_MARKS = (b"-----", b"PUBLIC KEY", b"PRIVATE KEY", b"CERTIFICATE", b"SSH-", b"ECDSA-", b'"KTY"')


def _is_key_of_another_kind(material: bytes) -> bool:
    shown = material.replace(b"\0", b"").upper()  # also in UTF-16
    if any(mark in shown for mark in _MARKS):
        return True
    return _is_der(material) or _is_der(_without_base64(material))


def _without_base64(material: bytes) -> bytes:
    compact = b"".join(material.split()).replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    try:
        return b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except ValueError:
        return b""


def _is_der(material: bytes) -> bool:
    for read in (load_der_public_key, _der_private_key, x509.load_der_x509_certificate):
        try:
            read(material)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        return True
    return False


def _der_private_key(material: bytes) -> object:
    return load_der_private_key(material, password=None)
