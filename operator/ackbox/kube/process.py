"""Runs a long-lived process of ackbox: signals, logging, crash tests."""

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Callable, Coroutine

from ackbox.kube import failpoint
from ackbox.kube.settings import Settings

logger = logging.getLogger(__name__)


def run_process(name: str, main: Callable[[Settings], Coroutine[None, None, None]], settings: Settings) -> None:
    """Run `main` until SIGTERM or SIGINT; another end exits with 1 and the supervisor starts the process again."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(logging.ERROR)
    failpoint.arm(settings.home, name)
    loop = asyncio.new_event_loop()
    task = loop.create_task(main(settings))
    failed = threading.Event()

    def work() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            logger.info("%s stopped", name)
        except BaseException:
            logger.exception("%s ended", name)
            failed.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(task.cancel))
    # The loop runs beside the main thread because kopf takes the signals over when it finds itself in the main one,
    # and each of several operators would take them from the one before.
    thread = threading.Thread(target=work, name=name)
    thread.start()
    thread.join()
    sys.exit(1 if failed.is_set() else 0)
