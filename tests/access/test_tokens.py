"""What a verifier lets in, and what it refuses: the known attacks on tokens, one by one."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import traceback
from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import Role
from hotelcore.clock import FixedClock
from hotelcore.errors import IdentityRefused, InvalidInput
from hotelcore.identity import ClaimNames
from hotelcore.identity.tokens import TokenVerifier
from tests.access.tokens import (
    AUDIENCE,
    CANARY,
    EC,
    ED,
    HOTEL,
    NOW,
    OTHER_RSA,
    OTHER_SECRET,
    RSA,
    SECRET,
    WEAK_RSA,
    assert_silent,
    at,
    b64,
    claims,
    dumped,
    forged,
    private_pem,
    public_pem,
    secret_verifier,
    signed,
    verifier,
)

SECOND = timedelta(seconds=1)
HS256 = {"alg": "HS256"}


def reason_for(token: Any, by: TokenVerifier | None = None) -> str:  # Any: whatever is sent
    """Return the code with which a token is refused, after a look at the error."""
    with pytest.raises(IdentityRefused) as refused:
        (by or verifier()).actor_of(token)
    error = refused.value
    assert (error.__cause__, error.__context__) == (None, None)
    return error.reason


# -- let in -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "algorithm", "public"),
    [
        (RSA, "RS256", public_pem(RSA)),
        (RSA, "RS512", public_pem(RSA).decode()),
        (RSA, "PS256", RSA.public_key()),
        (EC, "ES256", public_pem(EC)),
        (ED, "EdDSA", public_pem(ED)),
        (SECRET, "HS256", SECRET),
        (SECRET * 2, "HS384", SECRET * 2),
        (SECRET * 2, "HS512", SECRET * 2),
    ],
)
def test_a_good_token_is_an_actor(key: Any, algorithm: str, public: Any) -> None:  # Any: keys
    """With each kind of key the three claims come out, at the verifier's own time."""
    token = signed(claims(), key, algorithm)
    actor = verifier(keys=public, algorithms=[algorithm]).actor_of(token)
    assert (actor.subject, str(actor.hotel_id), actor.role) == ("ana", HOTEL, Role.RECEPTION)


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["another", AUDIENCE]])
def test_one_of_several_audiences_is_enough(audience: object) -> None:
    """A token may be made for several, of whom this one is one."""
    assert verifier().actor_of(signed(claims(aud=audience))).subject == "ana"


def test_keys_are_found_by_their_name() -> None:
    """Old and new keys stand side by side while they are changed."""
    by = verifier(keys={"old": public_pem(OTHER_RSA), "new": public_pem(RSA)})
    assert by.actor_of(signed(claims(), RSA, kid="new")).subject == "ana"
    assert by.actor_of(signed(claims(), OTHER_RSA, kid="old")).subject == "ana"


def test_the_names_of_the_claims_are_the_verifiers() -> None:
    """A host's own names are read from a token too."""
    by = verifier(names=ClaimNames(role="position"))
    assert by.actor_of(signed(claims(position="porter"))).role == "porter"


# -- algorithms and keys ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", ["", ".", ".AA", f".{b64(b'x' * 32)}"])
def test_an_unsigned_token_is_refused(name: str, signature: str) -> None:
    """No spelling of ``none`` gets in, with any signature or without."""
    token = f"{b64(dumped({'alg': name}))}.{b64(dumped(claims()))}{signature}"
    for by in (verifier(), secret_verifier()):
        assert reason_for(token, by) in {"token_malformed", "algorithm_refused"}


@pytest.mark.parametrize(
    "secret",
    [
        public_pem(RSA),
        public_pem(RSA).strip(),
        public_pem(RSA).replace(b"\n", b"\r\n"),
        RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        b"",
    ],
)
def test_a_public_key_is_no_secret(secret: bytes) -> None:
    """A token under an HMAC with the public key, in any form, is refused (algorithm confusion)."""
    for digest, name in (("sha256", "HS256"), ("sha384", "HS384"), ("sha512", "HS512")):
        token = forged(dumped({"alg": name}), dumped(claims()), secret, digest)
        assert reason_for(token) == "algorithm_refused"
    lying = forged(dumped({"alg": "RS256"}), dumped(claims()), secret)
    assert reason_for(lying) == "signature_wrong"


@pytest.mark.parametrize("algorithm", ["RS384", "PS256", "HS256", "ES256", "rs256", 1, None, []])
def test_another_algorithm_is_refused(algorithm: object) -> None:
    """What is not on the list is refused, though the key could verify it."""
    token = forged(dumped({"alg": algorithm}), dumped(claims()))
    assert reason_for(token) == "algorithm_refused"
    assert reason_for(signed(claims(), RSA, "RS384")) == "algorithm_refused"


def test_an_algorithm_goes_with_the_kind_of_its_key() -> None:
    """Of two allowed algorithms a key verifies its own only."""
    keys = {"rsa": public_pem(RSA), "ec": public_pem(EC)}
    by = verifier(keys=keys, algorithms=["RS256", "ES256"])
    assert by.actor_of(signed(claims(), EC, "ES256", kid="ec")).subject == "ana"
    assert reason_for(signed(claims(), EC, "ES256", kid="rsa"), by) == "algorithm_refused"
    assert reason_for(signed(claims(), RSA, "RS256", kid="ec"), by) == "algorithm_refused"


@pytest.mark.parametrize("kid", ["other", "", "../../etc/passwd", None, 1, ["new"], {}])
def test_an_unknown_key_is_refused(kid: object) -> None:
    """A name that the verifier does not have, none at all, or what is no name."""
    header = {"alg": "HS256", "kid": kid} if kid is not None else {"alg": "HS256"}
    by = secret_verifier(keys={"new": SECRET})
    assert reason_for(forged(dumped(header), dumped(claims())), by) == "key_unknown"


def test_the_wrong_key_is_refused() -> None:
    """Another's signature, and that of another key of the same verifier."""
    assert reason_for(signed(claims(), OTHER_RSA)) == "signature_wrong"
    by = verifier(keys={"old": public_pem(OTHER_RSA), "new": public_pem(RSA)})
    assert reason_for(signed(claims(), OTHER_RSA, kid="new"), by) == "signature_wrong"
    other = forged(dumped(HS256), dumped(claims()), OTHER_SECRET)
    assert reason_for(other, secret_verifier()) == "signature_wrong"


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": {"kty": "oct", "k": b64(OTHER_SECRET)}},
        {"jku": "https://evil.example.org/keys"},
        {"x5u": "https://evil.example.org/cert"},
    ],
)
def test_a_token_does_not_bring_its_own_key(header: dict[str, object]) -> None:
    """A key in the header, or an address of one, is not even looked at."""
    token = forged(dumped({**HS256, **header}), dumped(claims()), OTHER_SECRET)
    assert reason_for(token, secret_verifier()) == "signature_wrong"


@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_changed_token_is_refused(place: int, bit: int) -> None:
    """Any one bit of header, payload or signature makes the token worthless."""
    letters = bytearray(GOOD.encode())
    letters[place % len(letters)] ^= 1 << bit
    changed = letters.decode("latin-1")
    if parts_of(changed) != parts_of(GOOD):  # base64 leaves the last bits of a part over
        assert reason_for(changed, secret_verifier())


def parts_of(token: str) -> list[bytes] | None:
    """Return the bytes of a token's parts, None where there are none."""
    try:
        return [urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]
    except ValueError:
        return None


# -- who made it, for whom, and when ------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer", ["https://login.example.org", "https://evil.example.org/", "", 1, ["x"], None, True]
)
def test_another_issuer_is_refused(issuer: object) -> None:
    """It has to be the very same text."""
    assert reason_for(signed(claims(iss="x"))) == "issuer_wrong"
    token = forged(dumped(HS256), dumped({**claims(), "iss": issuer}))
    assert reason_for(token, secret_verifier()) == "issuer_wrong"


@pytest.mark.parametrize(
    "audience",
    ["another", "hotel", "hotel-desk ", "", [], ["another"], [AUDIENCE, 1], {AUDIENCE: 1}, 1, None],
)
def test_another_audience_is_refused(audience: object) -> None:
    """A token for somebody else, for nobody, or for a list with anything but texts in it."""
    token = forged(dumped(HS256), dumped({**claims(), "aud": audience}))
    assert reason_for(token, secret_verifier()) == "audience_wrong"


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "sub", "hotel_id", "role"])
def test_a_token_lacks_nothing(claim: str) -> None:
    """Without any one of these it is refused."""
    expected = {"iss": "issuer_wrong", "aud": "audience_wrong"}.get(claim, "claim_missing")
    assert reason_for(signed(claims(**{claim: None}))) == expected


@pytest.mark.parametrize("leeway", [timedelta(0), SECOND, timedelta(minutes=5)])
def test_the_leeway_is_exact(leeway: timedelta) -> None:
    """A token is over in the second of its expiry, and holds in the one from which it does."""
    by = verifier(leeway=leeway)
    assert by.actor_of(signed(claims(exp=at(SECOND - leeway)))).subject == "ana"
    assert reason_for(signed(claims(exp=at(-leeway))), by) == "expired"
    for begin in ("nbf", "iat"):
        assert by.actor_of(signed(claims(**{begin: at(leeway)}))).subject == "ana"
        late = signed(claims(**{begin: at(leeway + SECOND)}))
        assert reason_for(late, by) == "not_yet_valid"


@given(
    before=st.integers(-10_000, 10_000), leeway=st.integers(0, 300), fraction=st.floats(0, 0.999)
)
def test_a_token_holds_while_it_says(before: int, leeway: int, fraction: float) -> None:
    """Over any instant: let in exactly before the expiry and its leeway, whatever the fraction."""
    clock = FixedClock(NOW + timedelta(seconds=before))
    by = secret_verifier(clock=clock, leeway=timedelta(seconds=leeway))
    token = forged(dumped(HS256), dumped(claims(exp=at(timedelta(0)) + fraction)))
    if before < round(fraction, 6) + leeway:
        assert by.actor_of(token).subject == "ana"
    else:
        assert reason_for(token, by) == "expired"


WRONG_TIMES = [
    "true",
    "false",
    "null",
    '"1900000000"',
    "-1",
    "-1e99",
    "1e400",
    "-0.5",
    "253402300800",
    "9" * 30,
    "9" * 5_000,
    "[]",
    "{}",
]


@pytest.mark.parametrize("value", WRONG_TIMES)
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_a_wrong_time_is_refused(claim: str, value: str) -> None:
    """What is no number of seconds, or beyond the calendar, is not taken for any time."""
    said = dumped(claims()).replace(b"{", f'{{"{claim}": {value}, '.encode(), 1)
    if claim == "exp":
        said = dumped(claims(exp=None)).replace(b"{", f'{{"exp": {value}, '.encode(), 1)
    reason = reason_for(forged(dumped(HS256), said), secret_verifier())
    assert reason in {"claim_malformed", "token_malformed"}  # Python reads no 5,000 digits


@pytest.mark.parametrize("claim", ["sub", "hotel_id", "role"])
@pytest.mark.parametrize("value", ["", " ", 1, True, ["admin"], {"x": 1}, "x" * 201, "\0"])
def test_a_malformed_claim_is_refused(claim: str, value: object) -> None:
    """A right signature does not make a wrong claim good."""
    token = forged(dumped(HS256), dumped(claims(**{claim: value})))
    assert reason_for(token, secret_verifier()) == "claim_malformed"


# -- what is no token ---------------------------------------------------------------------------

GOOD = forged(dumped(HS256), dumped(claims()))
NO_TOKENS = [
    None,
    b"",
    GOOD.encode(),
    7,
    "",
    ".",
    "..",
    "...",
    "a.b",
    "a.b.c.d",
    f"Bearer {GOOD}",
    f"{GOOD}\n",
    f" {GOOD}",
    GOOD + "=",
    GOOD.replace(".", "..", 1),
    GOOD + "\ud800",
    GOOD + "é",
    forged(dumped(HS256), dumped({**claims(), "more": "x" * 20_000})),
    forged(b"[]", dumped(claims())),
    forged(b"", dumped(claims())),
    forged(b"\xff\xfe", dumped(claims())),
    forged(b'{"alg": "none", "alg": "HS256"}', dumped(claims())),
    forged(b'{"alg": "HS256"', dumped(claims())),
    forged(b"[" * 5_000, dumped(claims())),
    forged(dumped(HS256).decode().encode("utf-16"), dumped(claims())),
    forged(dumped({**HS256, "crit": ["exp"], "exp": 1}), dumped(claims())),
    forged(dumped({**HS256, "crit": []}), dumped(claims())),
    forged(dumped({**HS256, "b64": False, "crit": ["b64"]}), dumped(claims())),
    forged(dumped(HS256), b"[]"),
    forged(dumped(HS256), b"null"),
    forged(dumped(HS256), b"not json"),
    forged(dumped(HS256), b"\xff"),
    forged(dumped(HS256), b"[" * 5_000),
    forged(dumped(HS256), dumped({**claims(), "x": float("nan")})),
    forged(dumped(HS256), dumped(claims())[:-1] + b', "role": "admin"}'),
    forged(dumped(HS256), json.dumps(claims()).encode("utf-16")),
]


@pytest.mark.parametrize("token", NO_TOKENS, ids=range(len(NO_TOKENS)))
def test_what_is_no_token_is_refused(token: object) -> None:
    """Other types, other forms, names that stand twice, extensions that nobody understands."""
    assert secret_verifier().actor_of(GOOD).subject == "ana"
    assert reason_for(token, secret_verifier()) == "token_malformed"


@given(token=st.text() | st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]+", fullmatch=True))
def test_nothing_random_gets_in(token: str) -> None:
    """Any text is refused by the one error."""
    assert reason_for(token)


@given(header=st.binary(max_size=50), payload=st.binary(max_size=50))
def test_random_bytes_under_a_right_signature_are_refused(header: bytes, payload: bytes) -> None:
    """Whoever may sign, but does not speak JSON, is refused like anybody."""
    assert reason_for(forged(header, payload), secret_verifier())
    assert reason_for(forged(dumped(HS256), payload), secret_verifier())


# -- nothing is shown ---------------------------------------------------------------------------

TELLING = [
    signed(claims(sub=[CANARY])),
    signed(claims(hotel_id=CANARY)),
    signed(claims(role=CANARY)),
    signed(claims(iss=CANARY)),
    signed(claims(aud=CANARY)),
    signed(claims(exp=CANARY)),
    signed(claims(exp=1, sub=CANARY)),
    signed(claims(sub=CANARY), OTHER_RSA),
    signed(claims(), kid=CANARY, crit=[]),
    forged(dumped({"alg": CANARY}), dumped({CANARY: CANARY})),
    forged(dumped({"alg": "RS256", "kid": CANARY}), CANARY.encode()),
    CANARY,
    f"{CANARY}.{CANARY}.{CANARY}",
]


@pytest.mark.parametrize("token", TELLING, ids=range(len(TELLING)))
def test_a_refusal_of_a_token_shows_nothing(token: str) -> None:
    """Neither the claims nor the token are in any text of the error, or behind its traceback."""
    sent = [token]  # so that no variable of this frame shows it
    del token
    by = verifier()
    with pytest.raises(IdentityRefused) as refused:
        by.actor_of(sent.pop())
    assert_silent(refused.value)
    told = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    assert CANARY not in "".join(told.format())


def test_a_verifier_shows_no_key() -> None:
    """No text of it has the secret, and it cannot be pickled."""
    by = secret_verifier(keys=CANARY.encode() * 4)
    assert CANARY not in f"{by!r} {by}"
    with pytest.raises(TypeError, match="holds keys"):
        pickle.dumps(by)


# -- what a verifier is built of ----------------------------------------------------------------

PEM = public_pem(RSA)
DER = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
SSH = RSA.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
JWK = dumped({"kty": "RSA", "n": b64(b"n" * 256), "e": "AQAB"})
NO_SECRETS = [
    PEM,
    PEM.decode(),
    PEM.replace(b"\n", b"\r\n"),
    PEM.replace(b"\n", b" "),
    PEM.replace(b"-----", b"---- "),
    b"\xef\xbb\xbf" + PEM,
    b"  \n" + PEM,
    PEM.decode().encode("utf-16"),
    PEM.lower(),
    DER,
    b64(DER),
    b64(DER).encode() + b"==",
    SSH,
    b" " + SSH,
    JWK,
    JWK.decode().encode("utf-16"),
    dumped([{"kty": "RSA"}]),
    RSA.public_key(),
    EC.public_key(),
    ED.public_key(),
    private_pem(RSA),
    private_pem(EC).decode(),
]


@pytest.mark.parametrize("key", NO_SECRETS, ids=range(len(NO_SECRETS)))
def test_no_hmac_is_made_with_another_kind_of_key(key: Any) -> None:  # Any: refused at run time
    """A public or private key, however it is written, is refused as a secret."""
    for keys in (key, {"new": key}, {"good": SECRET * 2, "bad": key}):
        for algorithm in ("HS256", "HS384", "HS512"):
            with pytest.raises(InvalidInput, match=r"^keys: "):
                verifier(keys=keys, algorithms=[algorithm])


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_weak_secret_is_refused(algorithm: str, least: int) -> None:
    """Shorter than its hash, or of hardly any different bytes."""
    long = SECRET * 2
    verifier(keys=long[:least], algorithms=[algorithm])
    for weak in (long[: least - 1], b"", b"secret", bytes(64), b"ab" * 32, "x" * 64):
        with pytest.raises(InvalidInput, match=r"^keys: "):
            verifier(keys=weak, algorithms=[algorithm])


BAD_TERMS: list[dict[str, Any]] = [  # Any: refused at run time
    {"algorithms": []},
    {"algorithms": None},
    {"algorithms": "RS256"},
    {"algorithms": ["none"]},
    {"algorithms": ["RS256", "none"]},
    {"algorithms": ["RS256", None]},
    {"algorithms": ["rs256"]},
    {"algorithms": ["RS256", "HS256"]},
    {"algorithms": ["ES256K"]},
    {"algorithms": ["ES256"]},
    {"algorithms": ["EdDSA"]},
    {"keys": {}},
    {"keys": None},
    {"keys": 1},
    {"keys": [PEM]},
    {"keys": {None: PEM}},
    {"keys": {"": PEM}},
    {"keys": {"a": PEM, "b": None}},
    {"keys": public_pem(WEAK_RSA)},
    {"keys": public_pem(EC)},
    {"keys": {"a": PEM, "b": public_pem(EC)}},
    {"keys": EC.public_key(), "algorithms": ["ES384"]},
    {"keys": private_pem(RSA)},
    {"keys": RSA},
    {"keys": SECRET},
    {"keys": b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"},
    {"issuer": ""},
    {"issuer": None},
    {"issuer": ["x"]},
    {"audience": ""},
    {"audience": None},
    {"audience": ["x"]},
    {"leeway": timedelta(seconds=-1)},
    {"leeway": timedelta(minutes=5, microseconds=1)},
    {"leeway": 60},
    {"leeway": None},
    {"clock": None},
    {"names": None},
    {"names": {"role": "r"}},
]


@pytest.mark.parametrize("terms", BAD_TERMS, ids=range(len(BAD_TERMS)))
def test_bad_terms_are_refused(terms: dict[str, Any]) -> None:  # Any: as above
    """Each is named when the verifier is built, and not when the first token comes."""
    with pytest.raises(InvalidInput) as refused:
        verifier(**terms)
    assert refused.value.field in {*terms, "keys"}


def test_the_keys_handed_in_may_change() -> None:
    """A mapping that changes later changes no verifier."""
    keys = {"new": PEM}
    by = verifier(keys=keys)
    keys["evil"] = public_pem(OTHER_RSA)
    assert reason_for(signed(claims(), OTHER_RSA, kid="evil"), by) == "key_unknown"
    with pytest.raises(TypeError):
        by._keys["evil"] = RSA.public_key()  # type: ignore[index]  # refused at run time too
    with pytest.raises(AttributeError):
        by.audience = "other"  # type: ignore[misc]  # refused at run time too


def test_a_missing_package_is_named_by_its_extra() -> None:
    """Without pyjwt the verifier says what to install, and the claims need nothing."""
    code = (
        "import sys\nsys.modules['jwt'] = None\n"
        "import hotelcore.identity\n"
        "from hotelcore.errors import MissingExtra\n"
        "try:\n    import hotelcore.identity.tokens\n"
        "except MissingExtra as missing:\n    print(missing)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == ("TokenVerifier needs more packages: pip install 'hotelcore[jwt]'\n")
