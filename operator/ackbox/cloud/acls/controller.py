"""Gives access control lists their id and says what is wrong with them."""

from ackbox.cloud.acls.plan import acl_state
from ackbox.cloud.allocation import ids
from ackbox.cloud.reconciling import Cloud, Controller, deleting, metadata, paused, spec_changed
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.resources import ACCESS_CONTROL_LIST, AccessControlList


class AccessControlLists(Controller):
    """Reconciles AccessControlLists."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, ACCESS_CONTROL_LIST, "acls", workers=2)
        cloud.world.access_control_lists.subscribe(self._on_list)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.access_control_lists.get(*key)
        if obj is None or paused(obj) or deleting(obj):
            return
        acl = AccessControlList.model_validate(obj)
        fields = {"aclId": ids.access_control_list_id(acl.metadata.uid)}
        await self.report(obj, fields, acl_state(acl))
        self.resync(key)

    def _on_list(self, old: Object | None, new: Object | None) -> None:
        if new is not None and spec_changed(old, new):
            self.queue.add(metadata(new))
