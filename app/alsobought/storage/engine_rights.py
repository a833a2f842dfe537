"""The rights of the embedded engine, which apply to every statement of the process: storage/engine/users.xml.

The engine reads them when its first connection opens. It wants an absolute path to the users, which config.xml therefore takes
from the environment.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "engine"
USERS_VARIABLE = "CHDB_USERS_CONFIG"


def engine_rights() -> dict[str, str]:
    """The options of a connection that brings these rights."""
    os.environ[USERS_VARIABLE] = str(FOLDER / "users.xml")
    return {"config-file": str(FOLDER / "config.xml")}
