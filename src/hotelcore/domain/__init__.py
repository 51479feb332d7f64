"""The hotel itself: frozen values and entities, and the rules between them.

Nothing here does input or output, reads a clock, or knows a framework or a database.
"""
