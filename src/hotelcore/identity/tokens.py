"""Verifies JSON Web Tokens (RFC 7519) with pyjwt, which comes with the ``jwt`` extra.

pyjwt checks the signature and nothing else. The claims are judged here: strictly, and by the clock
that was handed in, where pyjwt would ask the machine's.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias

from attrs import Attribute, field, frozen

from hotelcore.clock import Clock, SystemClock
from hotelcore.errors import IdentityRefused, InvalidInput, MissingExtra
from hotelcore.identity import ClaimNames, actor_from_claims
from hotelcore.identity.keys import (
    ALGORITHMS,
    HMAC_LENGTHS,
    LoadedKey,
    VerificationKey,
    load,
    suits,
)
from hotelcore.tenancy import Actor
from hotelcore.text import clean_text

try:
    import jwt
except ImportError:
    raise MissingExtra("TokenVerifier", "jwt") from None

__all__ = ["TokenVerifier"]

_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_MOST_CHARACTERS = 16_384
_MOST_LEEWAY = timedelta(minutes=5)
_LATEST = 253_402_300_799  # the last second of the year 9999, in seconds since 1970

Object: TypeAlias = Mapping[str, object]

_signatures = jwt.PyJWS()


def _loaded(
    given: VerificationKey | Mapping[str, VerificationKey],
) -> LoadedKey | Mapping[str, LoadedKey]:
    if not isinstance(given, Mapping):
        return load(given)
    if not given:
        raise InvalidInput("keys", "must not be empty")
    return MappingProxyType(
        {clean_text("keys", kid, most=200): load(key) for kid, key in given.items()}
    )


def _allowed(given: Collection[str]) -> frozenset[str]:
    if isinstance(given, str | bytes) or not isinstance(given, Collection):
        raise InvalidInput("algorithms", "must be a list or set of names")
    named = [name for name in given if isinstance(name, str) and name in ALGORITHMS]
    if not named or len(named) < len(given):
        raise InvalidInput("algorithms", f"must be some of {', '.join(sorted(ALGORITHMS))}")
    if 0 < len(HMAC_LENGTHS.keys() & set(named)) < len(set(named)):
        raise InvalidInput("algorithms", "must not mix HMAC algorithms (HS…) with any others")
    return frozenset(named)


def _named(_: object, attribute: Attribute[str], value: str) -> None:
    clean_text(attribute.name, value, most=500)


def _short(_: object, attribute: Attribute[timedelta], value: timedelta) -> None:
    if not isinstance(value, timedelta) or not timedelta(0) <= value <= _MOST_LEEWAY:
        raise InvalidInput(attribute.name, "must be a timedelta from zero to five minutes")


@frozen(kw_only=True, eq=False)
class TokenVerifier:
    """Says whose token it is, or refuses it. Make one for each issuer and share it.

    ``keys`` is one key, or several under the ``kid`` by which a token names its own: public keys
    (in PEM, or objects of the cryptography package; RSA of 2,048 bits at least) or HMAC secrets (as
    long as their hash at least). ``algorithms`` are the ones allowed; HMAC algorithms and others
    never go together. ``issuer`` and ``audience`` are what the token must say in ``iss`` and
    ``aud``. A token must expire. Its ``exp``, ``nbf`` and ``iat`` are judged by ``clock``, with a
    ``leeway`` of at most five minutes, by default none. ``names`` says which claims tell
    subject, hotel and role.

    Raises `InvalidInput` for anything else, such as a key that none of the algorithms can use.
    """

    algorithms: frozenset[str] = field(converter=_allowed)
    issuer: str = field(validator=_named)
    audience: str = field(validator=_named)
    leeway: timedelta = field(default=timedelta(0), validator=_short)
    names: ClaimNames = field(factory=ClaimNames)
    clock: Clock = field(factory=SystemClock, repr=False)
    # No text of the verifier shows a secret.
    _keys: LoadedKey | Mapping[str, LoadedKey] = field(converter=_loaded, repr=False, alias="keys")

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.names, ClaimNames):
            raise InvalidInput("names", "must be of the class ClaimNames")
        if not hasattr(self.clock, "now"):
            raise InvalidInput("clock", "must have now()")
        keys = self._keys.values() if isinstance(self._keys, Mapping) else [self._keys]
        for key in keys:
            if not any(suits(key, algorithm) for algorithm in self.algorithms):
                reason = "hold one of the wrong kind, or too weak, for each of the algorithms"
                raise InvalidInput("keys", reason)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a TokenVerifier holds keys: make it where it is used")

    def actor_of(self, token: str) -> Actor:
        """Return the actor of whom ``token`` speaks, the bare text without ``Bearer``.

        Raises `IdentityRefused` with a reason code; nothing of the token or its claims is in it.
        """
        try:
            return self._verified(token)
        except IdentityRefused as refused:
            refusal = IdentityRefused(refused.reason, refused.claim)
        # Raised anew: a report that shows every frame's variables finds neither token nor claims.
        del token
        raise refusal

    def _verified(self, token: str) -> Actor:
        claims = self._claims_of(token)
        if claims.get("iss") != self.issuer:
            raise IdentityRefused("issuer_wrong", "iss")
        if not _is_for(self.audience, claims.get("aud")):
            raise IdentityRefused("audience_wrong", "aud")
        self._judge_times(claims)
        return actor_from_claims(claims, names=self.names)

    def _claims_of(self, token: str) -> Object:
        """Return what the token says, once its signature is found right."""
        if not isinstance(token, str) or len(token) > _MOST_CHARACTERS:
            raise IdentityRefused("token_malformed")
        parts = _TOKEN.fullmatch(token)
        header = _object(_decoded(parts[1])) if parts else None
        # `crit` names extensions that a verifier must understand (RFC 7515, 4.1.11): none here.
        if header is None or {"crit", "b64"} & header.keys():
            raise IdentityRefused("token_malformed")
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self.algorithms:
            raise IdentityRefused("algorithm_refused")
        key = self._key_for(header)
        if not suits(key, algorithm):
            raise IdentityRefused("algorithm_refused")
        payload = _signed(token, key, algorithm)
        if payload is None:
            raise IdentityRefused("signature_wrong")
        claims = _object(payload)
        if claims is None:
            raise IdentityRefused("token_malformed")
        return claims

    def _key_for(self, header: Object) -> LoadedKey:
        if not isinstance(self._keys, Mapping):
            return self._keys
        kid = header.get("kid")
        if not isinstance(kid, str) or kid not in self._keys:
            raise IdentityRefused("key_unknown")
        return self._keys[kid]

    def _judge_times(self, claims: Object) -> None:
        now = self.clock.now()
        expiry = _instant(claims, "exp")
        if expiry is None:
            raise IdentityRefused("claim_missing", "exp")
        if now - expiry >= self.leeway:
            raise IdentityRefused("expired", "exp")
        for name in ("nbf", "iat"):
            begin = _instant(claims, name)
            if begin is not None and begin - now > self.leeway:
                raise IdentityRefused("not_yet_valid", name)


def _is_for(audience: str, said: object) -> bool:
    """Tell whether ``aud``, a text or a list of texts, names the audience (RFC 7519, 4.1.3)."""
    if isinstance(said, list):
        return all(isinstance(one, str) for one in said) and audience in said
    return said == audience


def _instant(claims: Object, name: str) -> datetime | None:
    """Return a NumericDate (RFC 7519, 2): seconds since 1970, perhaps with a fraction."""
    if name not in claims:
        return None
    value = claims[name]
    if not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= _LATEST:
        return datetime.fromtimestamp(value, UTC)
    raise IdentityRefused("claim_malformed", name)


# What fails below answers None, so that the refusal has no other error behind it.


def _signed(token: str, key: LoadedKey, algorithm: str) -> bytes | None:
    """Return the payload if its signature is right."""
    try:
        payload: bytes = _signatures.decode(token, key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return payload


def _decoded(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return b""


def _object(text: bytes) -> Object | None:
    """Return a JSON object in UTF-8, without a name twice and without what JSON does not have."""
    try:
        found = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is not JSON")
