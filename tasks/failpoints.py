"""Places at which a test may kill this process, to prove that the engine repairs what is left.

Off unless `LONGRUN_FAILPOINTS` names a folder. A file there named like a failpoint arms it once:
whoever reaches it first removes the file and dies by SIGKILL (with `worker` as the file's content
the pool's main process dies too). A file `<failpoint>.<step>` waits for the steps of that name.
"""

import os
import signal
from pathlib import Path

_FOLDER = os.environ.get("LONGRUN_FAILPOINTS")
_MAIN_PID = os.getpid()  # imported before the pool forks


def failpoint(name: str, step: str = "") -> None:
    """Die here if a test asks for it, here in any step or in this one."""
    if _FOLDER is None:
        return
    _die_if(Path(_FOLDER) / name)
    if step:
        _die_if(Path(_FOLDER) / f"{name}.{step}")


def _die_if(armed: Path) -> None:
    try:
        victim = armed.read_text().strip()
        armed.unlink()
    except FileNotFoundError:
        return
    if victim == "worker":
        os.kill(_MAIN_PID, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
