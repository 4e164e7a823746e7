"""What rules about a listener's annotations work on, whatever the kind of load balancer. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ackbox.catalog.annotations import PREFIX
from ackbox.ccm.services.model import Observed, no_certificate
from ackbox.resources.listener import ListenerSpec


@dataclass(frozen=True)
class Said:
    """The fields that annotations set on a listener, without those that don't go together.

    Attributes:
        held: whether a new listener would lack something that it can't be without.
    """

    fields: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    held: bool = False


@dataclass
class Look:
    """A listener's fields while the rules go over them."""

    fields: dict[str, Any]
    there: Mapping[str, Any]
    observed: Observed
    problems: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    held: bool = False

    def said(self) -> Said:
        """What the rules left."""
        return Said(self.fields, tuple(self.problems), tuple(self.hints), self.held)

    def before(self, name: str) -> Any:
        """What a field is."""
        return self.there.get(ListenerSpec.model_fields[name].alias or name)

    def effective(self, name: str) -> Any:
        """What a field would be: as said, else as it is."""
        return self.fields.get(name, self.before(name))

    def drop(self, *names: str) -> None:
        """Leave fields as they are."""
        for name in names:
            self.fields.pop(name, None)

    def ignore(self, suffix: str, name: str, missing: str) -> None:
        """Leave a field as it is, and say that its annotation has no effect."""
        if name in self.fields:
            self.drop(name)
            self.hints.append(f"Annotation {PREFIX}{suffix} has no effect: it counts with {missing} only")

    def certificate_problem(self, reference: str) -> str | None:
        """Why a certificate can't be taken; None when it can."""
        certificate = self.observed.certificate(reference)
        if certificate is None:
            return no_certificate(reference)
        return f"can not update cert {reference} because it is expired" if certificate.expired else None

    def wrong(self, references: Sequence[str], known: Sequence[str]) -> list[str]:
        """The certificates that can't be taken, each said to be so; those that are there already stay."""
        found = {reference: self.certificate_problem(reference) for reference in references if reference not in known}
        bad = {reference: problem for reference, problem in found.items() if problem is not None}
        self.problems += bad.values()
        return list(bad)
