"""Runs the machine for long, with a stated seed, and tells how far it is.

python -m tests.machine.long_run 10000 50 1
"""

from __future__ import annotations

import sys
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from hotelcore.testing.machine import HotelMachine, machine_over
from tests.machine.playing import in_memory

EVERY = 500


def tell(line: str) -> None:
    """Write a line of progress at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(examples: int, steps: int, chosen: int) -> None:
    """Run so many examples of so many steps; a failure ends the run and is shown."""
    begun, done = time.monotonic(), 0

    class Counted(machine_over(in_memory)):  # type: ignore[misc]  # a class made at run time
        def teardown(self) -> None:
            nonlocal done
            super().teardown()
            done += 1
            if done % EVERY == 0 or done == 100:
                seconds = time.monotonic() - begun
                tell(f"{done} of {examples} examples, {seconds:.0f} s")

    machine: type[HotelMachine] = seed(chosen)(Counted)
    tell(f"{examples} examples of {steps} steps, seed {chosen}")
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    stage = machine.stage()
    tell(f"done: {done} examples, {stage.attempts.total()} commands, no difference")
    for name in sorted(stage.attempts):
        tell(f"  {name}: {stage.attempts[name]} run, {stage.successes[name]} succeeded")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
