"""The repositories of `hotelcore.repositories` over SQL: tables, row mapping, statements."""
