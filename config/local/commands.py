"""What the Makefile calls: up, down and demo, in words for the person at the terminal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from config.local.lock import Running
from config.local.processes import STOP_GRACE_S, STORE_STOP_GRACE_S
from config.local.server import ServerFailed
from config.local.stack import ROOT, CannotStart, Stack

POLL_S = 0.2
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # HUP: the terminal was closed


def up(stack: Stack) -> int:
    """Run the stack until Ctrl-C, SIGTERM or SIGHUP, then stop all of it; a second one kills.

    Returns 0, also when the folder's stack runs already, or 1 with one line that says why not.
    """
    if not stack.lock.take(stack.running):
        _say_running(stack)
        return 0
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        return _run(stack)
    except KeyboardInterrupt:
        say("Stopping ...")
        return 0
    except (CannotStart, ServerFailed) as error:
        say(str(error))
        return 1
    finally:
        _stop(stack)


def _run(stack: Stack) -> int:
    began = time.monotonic()
    stack.start()
    running = stack.running.model_copy(update={"ready": True})
    stack.lock.tell(running)
    say(
        f"Ready after {time.monotonic() - began:.1f} s. One Ctrl-C stops all of it.\n"
        f"  API docs  {running.url}/docs\n"
        f"  Flower    {running.flower_url}\n"
        f"  Logs      {stack.processes.logs}"
    )
    while stack.processes.alive:
        time.sleep(POLL_S)
    say(f"The supervisor has ended; see {stack.processes.logs / 'supervisord.log'}.")
    return 1


def _stop(stack: Stack) -> None:
    try:
        stack.stop()
    except KeyboardInterrupt:
        say("Killing ...")
        stack.kill()
    stack.lock.drop()


def detach(stack: Stack) -> int:
    """Start the stack in the background, unless it runs, and return when it is ready."""
    child = None if stack.lock.holder() else _start_apart(stack)
    try:
        while not ((holder := stack.lock.holder()) and holder.ready):
            if holder is None and (child is None or child.poll() is not None):
                say(_log(stack).read_text().strip())
                return 1
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        if child is not None:
            child.terminate()
        raise
    return 0


def _start_apart(stack: Stack) -> subprocess.Popen[bytes]:
    """Start `up` as a process of its own that outlives this one and its terminal."""
    say("Starting the stack in the background ...")
    with _log(stack).open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "config.local", "up", "--root", str(stack.root)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _log(stack: Stack) -> Path:
    return stack.folder / "up.log"


def down(stack: Stack) -> int:
    """Stop the folder's stack, wherever it was started. Returns 1 when it does not stop."""
    holder = stack.lock.holder()
    if holder is None:
        left = stack.reap()
        say(f"Ended {left} processes of a killed stack." if left else "Nothing was running.")
        return 0
    os.kill(holder.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_GRACE_S + STORE_STOP_GRACE_S
    while stack.lock.holder() is not None:
        if time.monotonic() > deadline:
            say(f"Process {holder.pid} does not stop; see {stack.processes.logs}.")
            return 1
        time.sleep(POLL_S)
    say("Stopped.")
    return 0


def demo(stack: Stack) -> int:
    """Start the stack in the background, unless it runs, and show what it is for."""
    if code := detach(stack):
        return code
    running = _running(stack)
    addresses = {"LONGRUN_URL": running.url, "LONGRUN_FLOWER_URL": running.flower_url}
    shown = subprocess.run(
        [sys.executable, "-m", "api.demo"], cwd=ROOT, env=os.environ | addresses, check=False
    )
    return shown.returncode


def ask(stack: Stack, module: str, words: list[str]) -> int:
    """Run one of the API's commands for the stack that runs."""
    if stack.lock.holder() is None:
        say("The stack does not run; start it with: make up")
        return 1
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, cwd=ROOT, env=stack.environment, check=False).returncode  # noqa: S603 - our own command


def _running(stack: Stack) -> Running:
    return stack.lock.holder() or stack.running


def _say_running(stack: Stack) -> None:
    running = _running(stack)
    say(f"Longrun runs already (pid {running.pid}): {running.url}/docs; stop it with: make down")


def say(line: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
