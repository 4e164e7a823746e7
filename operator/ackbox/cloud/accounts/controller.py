"""Says of an Account what keeps it from buying."""

from ackbox.cloud.accounts.plan import account_state
from ackbox.cloud.reconciling import Cloud, Controller, deleting, metadata, paused, spec_changed
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.resources.account import ACCOUNT


class Accounts(Controller):
    """Reconciles Accounts."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, ACCOUNT, "accounts", workers=2)
        cloud.world.accounts.subscribe(self._on_account)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.accounts.get(*key)
        if obj is None or paused(obj) or deleting(obj):
            return
        state = account_state(obj)
        phase = "Normal" if state.ready == "True" else "Restricted"
        await self.report(obj, {"phase": phase}, state, warn=phase == "Restricted")
        self.resync(key)

    def _on_account(self, old: Object | None, new: Object | None) -> None:
        if new is not None and spec_changed(old, new):
            self.queue.add(metadata(new))
