"""Tokens for tests: good ones, and whatever an attacker might send."""

from __future__ import annotations

import hmac
import json
import pickle
import traceback
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hotelcore import new_id
from hotelcore.clock import FixedClock
from hotelcore.errors import IdentityRefused
from hotelcore.identity.tokens import TokenVerifier

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)
"""Not this machine's time: a verifier that asked the machine would be found out."""

CANARY = "Canary-8471"
"""What must be in no text of an error."""

ISSUER, AUDIENCE = "https://login.example.org/", "hotel-desk"
HOTEL = str(new_id())
SECRET = bytes(range(100, 132))
OTHER_SECRET = bytes(range(132, 164))

RSA = generate_rsa(65_537, 2_048)
OTHER_RSA = generate_rsa(65_537, 2_048)
WEAK_RSA = generate_rsa(65_537, 1_024)
EC = generate_private_key(SECP256R1())
ED = Ed25519PrivateKey.generate()

# Claims and headers are JSON, and wrong on purpose in most tests.
Json = Any


def public_pem(key: PrivateKeyTypes) -> bytes:
    """Return the public half as text."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: PrivateKeyTypes) -> bytes:
    """Return the private half as text."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def claims(**others: Json) -> dict[str, Json]:
    """Return good claims, with others instead; None leaves one out."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": at(timedelta(minutes=10)),
        "sub": "ana",
        "hotel_id": HOTEL,
        "role": "reception",
    }
    return {name: value for name, value in {**good, **others}.items() if value is not None}


def at(since: timedelta) -> int:
    """Return an instant as a token has it, so long after now."""
    return int((NOW + since).timestamp())


def signed(
    said: Mapping[str, Json],
    key: Any = RSA,  # as pyjwt takes it
    algorithm: str = "RS256",
    **header: Json,
) -> str:
    """Return a token that is rightly signed."""
    return jwt.encode(dict(said), key, algorithm=algorithm, headers=header or None)


def b64(data: bytes) -> str:
    """Return the form in which a token holds its parts."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: bytes, payload: bytes, secret: bytes = SECRET, digest: str = "sha256") -> str:
    """Return a token of any bytes at all under a right HMAC."""
    signing = f"{b64(header)}.{b64(payload)}"
    return f"{signing}.{b64(hmac.digest(secret, signing.encode(), digest))}"


def dumped(value: Json) -> bytes:
    """Return JSON."""
    return json.dumps(value).encode()


def verifier(**others: Any) -> TokenVerifier:  # whatever the class takes
    """Return a verifier of the good tokens, with other terms."""
    good = {
        "keys": public_pem(RSA),
        "algorithms": ["RS256"],
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "clock": FixedClock(NOW),
    }
    return TokenVerifier(**{**good, **others})


def secret_verifier(**others: Any) -> TokenVerifier:  # as above
    """Return a verifier of HMACs."""
    return verifier(**{"keys": SECRET, "algorithms": ["HS256"], **others})


def assert_silent(error: IdentityRefused) -> None:
    """Assert that an error shows the canary nowhere, and survives a pickle."""
    assert (error.__cause__, error.__context__) == (None, None)
    shown = (str(error), repr(error), repr(error.args), repr(vars(error)))
    assert not any(CANARY in text for text in shown)
    assert CANARY not in "".join(traceback.format_exception_only(error))
    pickled = pickle.dumps(error)
    assert CANARY.encode() not in pickled
    again = pickle.loads(pickled)
    assert (again.reason, again.claim, str(again)) == (error.reason, error.claim, str(error))
