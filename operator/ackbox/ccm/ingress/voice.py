"""Says how it goes with Ingresses and AlbConfigs, as events on them: everything once, until it is something else.

What was said is forgotten on a restart, after which it is said once more. Reasons and texts are upstream's, but for
UnsupportedAnnotation, UnsupportedField and ListenerPortMapped.
"""

import contextlib
from collections.abc import Collection, Iterator

from ackbox.ccm.reporter import Reporter
from ackbox.kube.client import Object
from ackbox.kube.errors import ApiError, Conflict, NotFound

FAILED_BUILD = "FailedBuildModel"
FAILED_APPLY = "FailedApplyModel"


class Voice:
    """Speaks of the Ingresses and AlbConfigs of one cluster."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._problems: dict[str, frozenset[tuple[str, str]]] = {}
        self._hints: dict[str, str] = {}
        self._well: dict[str, object] = {}
        self._mappings: dict[str, frozenset[str]] = {}

    def problems(self, obj: Object, said: Collection[tuple[str, str]]) -> None:
        """Say what is wrong: reasons and texts."""
        uid = obj["metadata"]["uid"]
        for reason, text in dict.fromkeys(said):
            if (reason, text) not in self._problems.get(uid, ()):
                self._reporter.warning(obj, reason, text)
        self._problems[uid] = frozenset(said)
        if said:
            self._well.pop(uid, None)

    @contextlib.contextmanager
    def failing(self, obj: Object, reason: str, prefix: str) -> Iterator[None]:
        """Say what fails inside, and pass it on. That something changed meanwhile is no failure."""
        try:
            yield
        except (Conflict, NotFound):
            raise
        except ApiError as error:
            self.problems(obj, [(reason, f"{prefix}{error}")])
            raise

    def well(self, obj: Object) -> None:
        """Say that all is as the object says; again when it says something else."""
        metadata = obj["metadata"]
        version = metadata.get("generation"), metadata.get("annotations")
        if self._well.get(metadata["uid"]) != version:
            self._reporter.normal(obj, "SuccessfullyReconciled", "Successfully reconciled")
        self._well[metadata["uid"]] = version

    def unknown(self, obj: Object, reason: str, names: Collection[str]) -> None:
        """Say what has no effect."""
        text = f"ackbox has no rule for {', '.join(names)}; they have no effect" if names else ""
        if text and self._hints.get(obj["metadata"]["uid"]) != text:
            self._reporter.warning(obj, reason, text)
        self._hints[obj["metadata"]["uid"]] = text

    def mapped(self, obj: Object, texts: Collection[str]) -> None:
        """Say which listeners are dialled on another port than theirs."""
        uid = obj["metadata"]["uid"]
        for text in texts:
            if text not in self._mappings.get(uid, ()):
                self._reporter.normal(obj, "ListenerPortMapped", text)
        self._mappings[uid] = frozenset(texts)

    def forget(self, obj: Object) -> None:
        """An object is gone."""
        uid = obj["metadata"]["uid"]
        self._problems.pop(uid, None)
        self._hints.pop(uid, None)
        self._well.pop(uid, None)
        self._mappings.pop(uid, None)
