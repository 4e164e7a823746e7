"""`python -m e2e.fetch`: gets the programs that only tests use, with progress, before a test would have to wait for them."""

import asyncio

from ackbox.runtime import tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.progress import Terminal


async def fetch() -> None:
    """Get them unless they are cached."""
    for tool in (tools.helm(), tools.kstatus()):
        await locate(tool, Terminal())


if __name__ == "__main__":
    asyncio.run(fetch())
