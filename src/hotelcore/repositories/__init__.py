"""What the operations need from storage: one small Protocol an aggregate, in the hotel's words.

Every repository is bound to one hotel and one transaction by its unit of work, so no method takes
a hotel id. An id that the hotel does not have raises `NotFound`, whether it exists elsewhere or
not. ``update`` methods store the record they are given if its ``version`` is still the stored one,
raise `StaleVersion` otherwise, and return the record with its new version. ``lock`` methods read
a record and keep it unchanged by others until the transaction ends. A method that takes a list
stores all of it or nothing, and an empty list is nothing to do; one that asks for many records asks
the database once for each 500.
"""

from hotelcore.repositories.audit import AuditLog
from hotelcore.repositories.availability import Inventory
from hotelcore.repositories.bookings import Bookings, RoomKeys
from hotelcore.repositories.business_day import BusinessDays
from hotelcore.repositories.events import EventLog
from hotelcore.repositories.folios import Folios
from hotelcore.repositories.guests import Guests
from hotelcore.repositories.hotels import Hotels
from hotelcore.repositories.housekeeping import Housekeeping
from hotelcore.repositories.pms import PmsConnections
from hotelcore.repositories.room_nights import RoomNights
from hotelcore.repositories.rooms import Maintenance, Rooms, RoomTypes
from hotelcore.repositories.sealed import SealedValues

__all__ = [
    "AuditLog",
    "Bookings",
    "BusinessDays",
    "EventLog",
    "Folios",
    "Guests",
    "Hotels",
    "Housekeeping",
    "Inventory",
    "Maintenance",
    "PmsConnections",
    "RoomKeys",
    "RoomNights",
    "RoomTypes",
    "Rooms",
    "SealedValues",
]
