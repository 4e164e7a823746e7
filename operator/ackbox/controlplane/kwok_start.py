"""Starts KWOK when its API server is ready for it: `python kwok_start.py SERVER CA CERTIFICATE KEY -- COMMAND…`.

Without a COMMAND it ends then: in a Pod it runs before KWOK's container.

KWOK names itself anew at each start and keeps its hands off a Node while the Lease of its former self lasts. That would
leave every Node without a kubelet for most of a minute, and NotReady. So the Leases go first; KWOK makes new ones.

Standard library only, and little of it: this runs in front of every KWOK.
"""

import http.client
import os
import ssl
import sys
import time
import urllib.parse

NODES = "/api/v1/nodes?limit=1"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
POLL_SECONDS = 0.2
CALL_SECONDS = 30.0


def main(arguments: list[str]) -> None:
    """Wait until the API server knows KWOK's role, delete the Leases, become the command."""
    server, authority, certificate, key, separator, *command = arguments
    if separator != "--":
        sys.exit("usage: kwok_start.py SERVER CA CERTIFICATE KEY -- [COMMAND…]")
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    address = urllib.parse.urlsplit(server).netloc
    for method, path in (("GET", NODES), ("DELETE", LEASES)):
        said = ""
        while (answer := call(address, context, method, path)) != "200":
            if answer != said:
                print(f"{method} {path}: {answer}; waiting", flush=True)
                said = answer
            time.sleep(POLL_SECONDS)
    if command:
        os.execv(command[0], command)  # noqa: S606


def call(address: str, context: ssl.SSLContext, method: str, path: str) -> str:
    """The status of the answer, or why there is none."""
    connection = http.client.HTTPSConnection(address, context=context, timeout=CALL_SECONDS)
    try:
        connection.request(method, path)
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    finally:
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1:])
