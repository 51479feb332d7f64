"""A policy is checked when it is built, never changes, and denies what it does not say."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import (
    Actor,
    AsyncHotelCore,
    HotelCore,
    HotelId,
    Permission,
    Role,
    Stay,
    new_id,
    operations,
)
from hotelcore.access import POLICY, Policy
from hotelcore.core import Desk
from hotelcore.domain.audit import Outcome
from hotelcore.domain.housekeeping import TaskKind
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import InvalidInput, PermissionDenied
from hotelcore.events.catalogue import RoomStatusChanged
from hotelcore.lists import AuditFilter
from hotelcore.operations import OPERATIONS, create_housekeeping_task
from hotelcore.operations.declaring import permission_of
from hotelcore.relay import Relay
from hotelcore.subscriptions import Delivery, Subscriptions
from tests.access.calls import NAMED, attempt, outcome, world
from tests.every_operation import NAMES
from tests.small_hotel import DAY, KEYS, PRICE, TODAY, SmallHotel, open_hotel, opened, shared_core

HOUSE = POLICY.with_roles(
    {
        "housekeeper": {Permission.BOOKINGS_VIEW, Permission.HOUSEKEEPING},
        "web_shop": ["BOOKINGS_VIEW", "BOOKINGS_CREATE", "GUESTS_EDIT"],
    }
)

# -- strategies ---------------------------------------------------------------------------------

some_permissions = st.frozensets(st.sampled_from(Permission))
own_names = st.from_regex(r"[a-z][a-z0-9_]{0,19}", fullmatch=True)
role_names = st.one_of(st.sampled_from(Role), own_names)
rows = st.dictionaries(role_names.filter(lambda name: name != Role.ADMIN), some_permissions)


@st.composite
def policies(draw: st.DrawFn) -> dict[str, frozenset[Permission]]:
    """Draw what a policy can be built of: no role has what admin lacks."""
    drawn = draw(rows)
    if draw(st.booleans()):
        return dict(drawn)
    ceiling = draw(some_permissions)
    return {**{role: rights & ceiling for role, rights in drawn.items()}, Role.ADMIN: ceiling}


def everything(policy: Policy, *others: str) -> set[tuple[str, Permission]]:
    """Return all that anybody may do, asked one by one."""
    return {
        (role, permission)
        for role in {*policy.roles, *Role, *others}
        for permission in Permission
        if allows(policy, role, permission)
    }


def allows(policy: Policy, role: str, permission: Permission) -> bool:
    """Tell whether a policy lets a role pass."""
    try:
        policy.authorize(role, permission, "this")
    except PermissionDenied:
        return False
    return True


# -- what is built ------------------------------------------------------------------------------


@given(table=policies())
def test_a_policy_allows_what_its_table_says(table: dict[str, frozenset[Permission]]) -> None:
    """Exactly the rows of the table are allowed, and all of admin where it has no row."""
    rows = {Role.ADMIN: frozenset(Permission), **table}
    said = {(str(role), one) for role, rights in rows.items() for one in rights}
    assert everything(Policy(table), "nobody") == said


@given(table=policies(), data=st.data())
def test_taking_away_enables_nothing(
    table: dict[str, frozenset[Permission]], data: st.DataObject
) -> None:
    """Without one of its roles, or with fewer permissions of one, a policy allows no more.

    Only the row of admin is never taken away as a whole: it is there to narrow.
    """
    before = everything(Policy(table), *table)
    role = data.draw(st.sampled_from(sorted({*table, Role.ADMIN})))
    fewer = {**table, role: table.get(role, frozenset(Permission)) - data.draw(some_permissions)}
    if role != Role.ADMIN and data.draw(st.booleans()):
        del fewer[role]
    try:
        after = everything(Policy(fewer), *table)
    except InvalidInput:
        assert role == Role.ADMIN  # who would then be less than somebody else
        return
    assert after <= before


@given(drawn=rows, ceiling=some_permissions)
def test_no_role_exceeds_admin(
    drawn: dict[str, frozenset[Permission]], ceiling: frozenset[Permission]
) -> None:
    """A table is refused exactly if it gives a role what it does not give admin."""
    table = {**drawn, Role.ADMIN: ceiling}
    exceeding = [role for role, rights in drawn.items() if rights - ceiling]
    for build in (Policy, Policy({Role.ADMIN: ()}).with_roles):
        if exceeding:
            with pytest.raises(InvalidInput, match="may not have what admin lacks") as refused:
                build(table)
            assert any(role in refused.value.reason for role in exceeding)
        else:
            assert build(table) == Policy(table)


@given(name=st.text() | st.sampled_from(["bookings_view", "*", "ADMIN", "BOOKINGS_VIEW "]))
def test_an_unknown_permission_is_refused(name: str) -> None:
    """A name that is no permission builds no policy, and is not echoed."""
    if name in set(Permission):
        return
    with pytest.raises(InvalidInput) as refused:
        Policy({"clerk": [Permission.BOOKINGS_VIEW, name]})
    assert refused.value.field == "roles"


@pytest.mark.parametrize(
    "roles",
    [
        None,
        [],
        ["staff"],
        {"staff": "BOOKINGS_VIEW"},
        {"staff": b"BOOKINGS_VIEW"},
        {"staff": None},
        {"staff": 1},
        {"staff": [None]},
        {"staff": [["BOOKINGS_VIEW"]]},
        {"staff": {"BOOKINGS_VIEW": True}},
        {"": []},
        {"Staff": []},
        {"night porter": []},
        {"9to5": []},
        {"_": []},
        {"r" * 21: []},
        {"hö": []},
        {"staff\n": []},
        {None: []},
        {1: []},
    ],
)
def test_what_is_no_table_is_refused(roles: Any) -> None:  # Any: refused at run time
    """A wrong mapping, name or collection is named, also beside roles that are there."""
    for build in (Policy, POLICY.with_roles):
        with pytest.raises(InvalidInput) as refused:
            build(roles)
        assert refused.value.field in {"roles", "role"}


@given(table=policies())
def test_nothing_changes_a_policy(table: dict[str, frozenset[Permission]]) -> None:
    """What was handed in may change, the policy does not; it equals any twin."""
    given_in: dict[str, set[Permission]] = {role: set(rights) for role, rights in table.items()}
    policy, twin = Policy(given_in), Policy(table)
    before = everything(policy)
    for rights in given_in.values():
        rights |= set(Permission)
    given_in.clear()
    given_in["clerk"] = set(Permission)
    assert everything(policy) == before
    for same in (twin, pickle.loads(pickle.dumps(policy)), copy.deepcopy(policy)):
        assert (same, hash(same)) == (policy, hash(policy))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy._by_role = {}  # type: ignore[misc]  # refused at run time too
    with pytest.raises(TypeError):
        policy._by_role["clerk"] = frozenset(Permission)  # type: ignore[index]  # as above


def test_what_a_policy_leaves_out_is_denied() -> None:
    """A standard role without a row has no rights; admin alone keeps all of them."""
    policy = Policy({"porter": [Permission.BOOKINGS_VIEW]})
    assert {role: bool(policy.rights_of(role)) for role in Role} == {
        role: role is Role.ADMIN for role in Role
    }
    assert policy.rights_of(Role.ADMIN) == set(Permission)
    assert policy.roles == ("porter", "admin")


def test_with_roles_adds_and_replaces() -> None:
    """The other roles keep what they had, and the policy it came from is as it was."""
    assert HOUSE.rights_of("housekeeper") == {Permission.BOOKINGS_VIEW, Permission.HOUSEKEEPING}
    assert all(HOUSE.rights_of(role) == POLICY.rights_of(role) for role in Role)
    assert POLICY.rights_of("housekeeper") == frozenset()
    closed = HOUSE.with_roles({Role.RECEPTION: ()})
    assert closed.rights_of(Role.RECEPTION) == frozenset()
    assert closed.rights_of("web_shop") == HOUSE.rights_of("web_shop")


# -- what is declared ---------------------------------------------------------------------------


def test_what_writes_declares_its_permission(hotel: SmallHotel) -> None:
    """Every public function of a unit of work has a permission, but for those that only read."""
    work = {
        name: function
        for name in operations.__all__
        if name not in {"OPERATIONS", "operation"}
        if "uow" in signature(function := getattr(operations, name)).parameters
    }
    undeclared = {name for name, function in work.items() if permission_of(function) is None}
    assert undeclared == {"possible_actions", "quote", "search_availability"}
    for name in undeclared:  # each of them in a unit in which nothing can be written
        assert outcome(attempt(name, hotel), hotel.desk) == "allowed"


@pytest.mark.parametrize("declared", ["@operation", "@operation()", "@operation('FRONT_DOOR')"])
def test_an_operation_without_a_permission_is_not_imported(declared: str, tmp_path: Path) -> None:
    """The module that declares one cannot be imported at all."""
    (tmp_path / "mine.py").write_text(
        "from hotelcore.operations import operation\n"
        f"{declared}\ndef sell(uow) -> None:\n    pass\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", "import mine"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "permission" in ended.stderr


# -- at work ------------------------------------------------------------------------------------


@pytest.fixture
def hotel(database_url: str) -> Generator[SmallHotel]:
    """Open a hotel under the library's own policy."""
    with opened(database_url) as hotel:
        yield hotel


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_house(request: pytest.FixtureRequest) -> Generator[SmallHotel]:
    """Open one hotel for all examples of a test, on SQLite and PostgreSQL in turn."""
    with shared_core(request) as core:
        yield open_hotel(core)


@pytest.fixture
def house(database_url: str) -> Generator[SmallHotel]:
    """Open a hotel whose policy has roles of its own."""
    core = HotelCore(database_url, policy=HOUSE)
    core.create_schema()
    yield open_hotel(core)
    core.close()


def in_role(hotel: SmallHotel, role: str) -> Desk:
    """Return the handle of somebody in this role."""
    return hotel.core.acting_as(Actor(hotel_id=hotel.hotel_id, subject="x", role=role))


def test_an_unknown_role_is_denied_everything(hotel: SmallHotel) -> None:
    """Whoever comes with a role that the policy does not know gets one answer to every call."""
    desk = in_role(hotel, "housekeeper")
    attempts = {call: attempt(call, open_hotel(hotel.core)) for call in NAMED}
    before = world(hotel.core, hotel.hotel_id, audit=False)
    assert {call: outcome(made, desk) for call, made in attempts.items()} == dict.fromkeys(
        NAMED, "denied"
    )
    with pytest.raises(PermissionDenied, match="the policy knows no role housekeeper"):
        desk.once("key").run(operations.register_guest, last_name="Never")
    with pytest.raises(PermissionDenied), desk.transaction():
        pytest.fail("the writing unit was opened")
    assert world(hotel.core, hotel.hotel_id, audit=False) == before


def test_a_role_of_the_hosts_own_does_its_work_and_no_other(house: SmallHotel) -> None:
    """A housekeeper completes a task and books nothing; a web shop books and takes no money."""
    task = house.desk.run(
        operations.create_housekeeping_task, room_id=house.rooms[0].id, kind=TaskKind.STAY_OVER
    )
    housekeeper, shop = in_role(house, "housekeeper"), in_role(house, "web_shop")
    housekeeper.run(operations.complete_housekeeping_task, task_id=task.id)
    with pytest.raises(PermissionDenied):
        housekeeper.run(operations.register_guest, last_name="Never")
    guest = shop.run(operations.register_guest, last_name="Lovelace")
    booking, folio = shop.run(
        operations.create_booking_with_folio,
        guest_id=guest.id,
        room_type_id=house.room_type_id,
        stay=Stay(TODAY, TODAY + DAY),
    )
    with pytest.raises(PermissionDenied):
        shop.run(operations.record_payment, folio_id=folio.id, amount=PRICE, method="card")
    with shop.reading() as uow:
        possible = operations.possible_actions(uow, booking_id=booking.id)
    assert {action for action, why in possible.items() if "not_permitted" not in why} == {"confirm"}
    with house.desk.reading() as uow:
        by_operation = {
            entry.operation: entry.role for entry in uow.audit.page(AuditFilter()).items
        }
    assert by_operation["complete_housekeeping_task"] == "housekeeper"
    assert by_operation["create_booking_with_folio"] == "web_shop"


@given(rights=some_permissions, fewer=some_permissions)
def test_every_operation_asks_the_policy(
    shared_house: SmallHotel, rights: frozenset[Permission], fewer: frozenset[Permission]
) -> None:
    """Each needs its own permission and the one to look, whatever a role has; less allows less."""
    passed = passing(shared_house, rights)
    assert passed == {
        name
        for name in NAMES
        if {permission_of(OPERATIONS[name]), Permission.BOOKINGS_VIEW} <= rights
    }
    assert passing(shared_house, rights & fewer) <= passed


def passing(hotel: SmallHotel, rights: frozenset[Permission]) -> set[str]:
    """Return the operations that somebody with these rights is not denied."""
    core = HotelCore(hotel.core.engine, keys=KEYS, policy=POLICY.with_roles({"clerk": rights}))
    desk = core.acting_as(Actor(hotel_id=hotel.hotel_id, subject="x", role="clerk"))
    return {name for name in NAMES if outcome(partial(_begin, name), desk) != "denied"}


def _begin(name: str, desk: Desk) -> None:
    # Past the check of the permission it lacks its arguments.
    with suppress(InvalidInput, TypeError):
        desk.run(OPERATIONS[name])


def test_admin_can_be_narrowed(database_url: str) -> None:
    """Where the policy takes a permission from admin, nobody has it."""
    kept = frozenset(Permission) - {Permission.PMS_MANAGE}
    core = HotelCore(database_url, policy=POLICY.with_roles({Role.ADMIN: kept}))
    core.create_schema()
    hotel = open_hotel(core)
    with pytest.raises(PermissionDenied):
        hotel.desk.run(operations.connect_pms, vendor="x", external_hotel_id="1")
    core.close()


def test_the_async_core_asks_its_policy_too(database_url: str) -> None:
    """The same roles do the same things through asyncio."""

    async def work() -> None:
        core = AsyncHotelCore(database_url, policy=HOUSE)
        await core.create_schema()
        hotel_id = HotelId(new_id())

        def as_(role: str) -> Actor:
            return Actor(hotel_id=hotel_id, subject=role, role=role)

        await core.acting_as(as_("admin")).run(
            operations.register_hotel,
            name="Harbour",
            time_zone="Europe/Lisbon",
            currency="EUR",
            business_date=TODAY,
        )
        await core.acting_as(as_("web_shop")).run(operations.register_guest, last_name="Ada")
        for role in ("housekeeper", "unheard_of"):
            with pytest.raises(PermissionDenied):
                await core.acting_as(as_(role)).run(operations.register_guest, last_name="No")
        await core.close()

    asyncio.run(work())


@pytest.mark.parametrize("policy", [{}, {"admin": []}, "admin", Policy, 0])
@pytest.mark.parametrize("kind", [HotelCore, AsyncHotelCore])
def test_a_core_takes_nothing_but_a_policy(kind: Callable[..., object], policy: object) -> None:
    """A mapping or anything else is refused, so that nobody works under a policy unread."""
    with pytest.raises(InvalidInput, match=r"^policy: "):
        kind("sqlite://", policy=policy)


# -- subscriptions ------------------------------------------------------------------------------


def hear(delivery: Delivery[RoomStatusChanged]) -> None:
    """Do nothing with a delivery."""


def test_a_subscription_may_act_in_a_role_of_the_hosts_own(sqlite_url: str) -> None:
    """Subscriptions made with the host's policy know its roles, and go with its core alone."""
    on = Subscriptions(policy=HOUSE)
    on.durable(RoomStatusChanged, name="board", role="housekeeper")(hear)
    assert on.durables["board"].role == "housekeeper"
    for stranger in ("unheard_of", Role.GUEST):
        with pytest.raises(InvalidInput, match=r"^role: "):
            on.durable(RoomStatusChanged, name="other", role=stranger)
    HotelCore(sqlite_url, policy=HOUSE, subscriptions=on).close()
    for policy in (None, POLICY, POLICY.with_roles({"housekeeper": ()})):
        with pytest.raises(InvalidInput, match=r"^policy: "):
            HotelCore(sqlite_url, policy=policy, subscriptions=on)


def test_a_handler_acts_in_a_role_of_the_hosts_own(database_url: str) -> None:
    """The relay hands it the event as that role, which may do what the policy says."""
    core, handled = HotelCore(database_url, policy=HOUSE), list[str]()
    core.create_schema()

    @core.subscriptions.durable(RoomStatusChanged, name="board", role="housekeeper", attempts=1)
    def clean(delivery: Delivery[RoomStatusChanged]) -> None:
        with delivery.transaction() as uow:
            handled.append(uow.actor.role)
            create_housekeeping_task(uow, room_id=delivery.event.room_id, kind=TaskKind.STAY_OVER)
            with pytest.raises(PermissionDenied), uow.savepoint():
                operations.register_guest(uow, last_name="Never")

    hotel = open_hotel(core)
    hotel.desk.run(
        operations.bulk_update_room_status,
        room_ids=[hotel.rooms[0].id],
        condition=RoomCondition.DIRTY,
    )
    Relay(core).run_until_idle()
    with hotel.desk.reading() as uow:
        entry = uow.audit.page(AuditFilter(outcome=Outcome.DONE), limit=1).items[0]
    assert handled == ["housekeeper"]
    assert (entry.operation, entry.role) == ("create_housekeeping_task", "housekeeper")
    core.close()


def test_a_core_makes_subscriptions_with_its_own_policy(sqlite_url: str) -> None:
    """Who subscribes through the core uses the roles that its policy knows."""
    core = HotelCore(sqlite_url, policy=HOUSE)
    core.subscriptions.durable(RoomStatusChanged, name="board", role="housekeeper")(hear)
    assert core.policy is core.subscriptions.policy is HOUSE
    core.close()


# -- who somebody is ----------------------------------------------------------------------------


@given(name=role_names)
def test_a_known_role_is_a_role(name: str) -> None:
    """An actor's role is a `Role` where there is one of that name, and the name where not."""
    actor = Actor(hotel_id=HotelId(new_id()), subject="x", role=name)
    assert actor.role == name
    assert isinstance(actor.role, Role) is (name in set(Role))


@given(name=st.text())
def test_what_cannot_name_a_role_is_refused(name: str) -> None:
    """A name is short, lower-case and plain, so that the audit log and a policy can hold it."""
    plain: Mapping[bool, str] = {True: "abcdefghijklmnopqrstuvwxyz", False: "0123456789_"}
    good = (
        0 < len(name) <= 20
        and name[0] in plain[True]
        and all(letter in plain[True] + plain[False] for letter in name)
    )
    if good:
        Policy({name: ()})
        return
    with pytest.raises(InvalidInput, match=r"^role: "):
        Actor(hotel_id=HotelId(new_id()), subject="x", role=name)


def test_the_register_holds_what_the_answers_ask() -> None:
    """Every operation of the library is among the calls that are denied above."""
    assert set(NAMES) <= set(NAMED)
