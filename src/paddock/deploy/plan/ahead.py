"""Asks for the checks to come in one round trip, as far as nothing changes in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from paddock.deploy.plan.prepare import Prepared
from paddock.deploy.step import Machine, Step, together


@dataclass
class Ahead:
    """The machines for the checks of a prepared host's steps, taken in their order.

    ``changing`` are the ids of steps that something is expected to be done for: what comes after
    such a step is not asked for before it.
    """

    prepared: Prepared
    changing: frozenset[str] = frozenset()
    known: dict[str, Machine] = field(default_factory=dict)

    def machine(self, step: Step) -> Machine:
        """The machine for this step's check, with the answers in hand (see ``together``)."""
        if step.id not in self.known:
            machine = self.prepared.machine(step.on)
            group = [each for each in self._from(step) if each.on == step.on]
            knowing = together(machine, [ask for each in group for ask in each.asks])
            # Who asks in another way gets the machine as it is.
            self.known |= {each.id: knowing if each.asks else machine for each in group}
        return self.known[step.id]

    def changed(self, step: Step) -> None:
        """Something was done for this step: what was known may no longer be so."""
        self.known = {}
        self.changing -= {step.id}

    def _from(self, step: Step) -> Iterator[Step]:
        ids = [each.id for each in self.prepared.steps]
        for each in self.prepared.steps[ids.index(step.id) :]:
            yield each
            if each.id in self.changing:
                return
