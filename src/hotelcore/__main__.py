"""Lets ``python -m hotelcore`` do what ``hotelcore`` does."""

from __future__ import annotations

import sys

from hotelcore.cli import main

sys.exit(main())
