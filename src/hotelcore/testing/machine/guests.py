"""Commands on guests: taken in, corrected, forgotten."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.testing import strategies as some
from hotelcore.testing.machine.commands import MANNERS, Command, Manner, against
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, driving
from hotelcore.testing.machine.houses import HOLDING, House, Key

__all__ = ["GuestRules", "amend", "anonymise", "register"]

_MANNERS = st.sampled_from(MANNERS)
_NAMES = st.sampled_from(["Lovelace", "O'Brien", "", "\x00"]) | some.names


def _details(name: str, email: str | None) -> dict[str, Any]:
    return {"last_name": name, **({} if email is None else {"email": email})}


def _is_bad(name: str) -> bool:
    return not name.strip() or "\x00" in name


def register(house: House, name: str, email: str | None = None) -> Command:
    """Take a guest in."""

    def learn(told: Any) -> None:
        house.guests[told.id.hex] = False
        assert told.last_name == name, told

    return Command(
        operation=op.register_guest,
        arguments=_details(name, email),
        doubts=against(InvalidInput=_is_bad(name)),
        learn=learn,
    )


def amend(house: House, key: Key, name: str, email: str | None) -> Command:
    """Correct what is known of a guest."""
    return Command(
        operation=op.amend_guest,
        arguments={"guest_id": UUID(key), **_details(name, email)},
        doubts=against(
            NotFound=key not in house.guests,
            ActionRefused=house.guests.get(key, False),
            InvalidInput=_is_bad(name),
        ),
    )


def anonymise(house: House, key: Key) -> Command:
    """Forget who a guest was."""

    def learn(told: Any) -> None:
        house.guests[key] = True
        assert told.last_name == "anonymised", told
        # What a key gives again is erased with the guest.
        for known, (arguments, _) in house.keyed.items():
            if known[0] in ("register_guest", "amend_guest", "anonymise_guest"):
                house.keyed[known] = (arguments, None)

    expected = any(
        booking.guest == key and booking.status in HOLDING for booking in house.bookings.values()
    )
    return Command(
        operation=op.anonymise_guest,
        arguments={"guest_id": UUID(key)},
        doubts=against(
            NotFound=key not in house.guests,
            ActionRefused=expected and not house.guests.get(key, False),
        ),
        learn=learn,
    )


class GuestRules(Driver):
    """The rules on guests."""

    @driving(op.register_guest)
    @rule(hotel=HOTELS, name=_NAMES, email=st.none() | some.hostile_texts, manner=_MANNERS)
    def register(self, hotel: int, name: str, email: str | None, manner: Manner) -> None:
        """Take a guest in."""
        self.run(self.houses[hotel], register(self.houses[hotel], name, email), manner)

    @driving(op.amend_guest)
    @rule(
        hotel=HOTELS, guest=PICKS, name=_NAMES, email=st.none() | some.hostile_texts,
        manner=_MANNERS,
    )  # fmt: skip
    def amend_guest(
        self, hotel: int, guest: int, name: str, email: str | None, manner: Manner
    ) -> None:
        """Correct a guest."""
        house = self.houses[hotel]
        self.run(house, amend(house, self.pick(house, "guests", guest), name, email), manner)

    @driving(op.anonymise_guest)
    @rule(hotel=HOTELS, guest=PICKS, manner=_MANNERS)
    def anonymise(self, hotel: int, guest: int, manner: Manner) -> None:
        """Forget a guest."""
        house = self.houses[hotel]
        self.run(house, anonymise(house, self.pick(house, "guests", guest)), manner)

    @driving(op.register_guest)
    @rule(hotel=HOTELS, key=st.sampled_from(["k1", "k2", "k3"]), again=st.integers(0, 2))
    def use_a_key_in_two_hotels(self, hotel: int, key: str, again: int) -> None:
        """Make the same call under one key in two hotels, and in one of them once more."""
        for place in (hotel, (hotel + 1) % 3, (hotel + again) % 3):
            house = self.houses[place]
            self.run(house, register(house, "Keyed"), Manner(key=key))
