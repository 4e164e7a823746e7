"""A client of an API server that never stops, with the retries that are ordinary."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import urllib3
import yaml

from e2e.stack import Api

ORDINARY = urllib3.Retry(
    total=10,
    backoff_factor=0.2,
    backoff_max=2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
)
"""What clients do by themselves: dial again, wait a little longer each time."""


@dataclass
class Client:
    """Writes and reads without a pause."""

    pool: urllib3.PoolManager
    url: str
    failed: list[str] = field(default_factory=list)
    done: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        collection = f"{self.url}/api/v1/namespaces/default/configmaps"
        while not self.stop.is_set():
            name = f"n{self.done}"
            self.call("POST", collection, {201, 409}, {"metadata": {"name": name}})
            self.call("GET", f"{collection}/{name}", {200})
            self.done += 1

    def call(self, method: str, url: str, good: set[int], body: object = None) -> None:
        try:
            answer = self.pool.request(method, url, json=body, retries=ORDINARY, timeout=10)
        except urllib3.exceptions.HTTPError as error:
            self.failed.append(f"{method} {url}: {error}")
            return
        if answer.status not in good:
            self.failed.append(f"{method} {url}: {answer.status} {answer.data[:200]!r}")


def connections(api: Api, at_once: int = 1) -> tuple[urllib3.PoolManager, str]:
    """Connections to an API server with the certificate of a kubeconfig, so many of them kept, and the server's URL."""
    config = yaml.safe_load(api.kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    files = {}
    for key, source in (("ca", cluster), ("cert", user), ("key", user)):
        names = {"ca": "certificate-authority-data", "cert": "client-certificate-data", "key": "client-key-data"}
        files[key] = api.kubeconfig.with_suffix(f".{key}")
        files[key].write_bytes(base64.b64decode(source[names[key]]))
    pool = urllib3.PoolManager(
        maxsize=at_once, ca_certs=str(files["ca"]), cert_file=str(files["cert"]), key_file=str(files["key"])
    )
    return pool, cluster["server"]


@contextmanager
def client_at_work(api: Api) -> Iterator[Client]:
    client = Client(*connections(api))
    thread = threading.Thread(target=client.run)
    thread.start()
    try:
        yield client
    finally:
        client.stop.set()
        thread.join()
