"""The secrets that sign tokens and recommendation ids: from a setting, or from a file in the data folder."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from alsobought.errors import NotAllowed, Unusable

FILE = ".token_secret"
MIN_SECRET = 32  # characters: HMAC-SHA256 takes no more strength from longer ones


class SigningSecrets:
    """The signing secrets of the setting, the newest first, or the one in the data folder, made when it is first needed."""

    def __init__(self, setting: str, folder: Path | None) -> None:
        """`folder` is None where a server has the data. Raises Unusable."""
        self._chosen = [secret.strip() for secret in setting.split(",") if secret.strip()]
        self._file = folder / FILE if folder else None
        if any(len(secret) < MIN_SECRET for secret in self._chosen):
            raise Unusable(
                f"ALSOBOUGHT_TOKEN_SECRET has a secret of fewer than {MIN_SECRET} characters",
                "Make one with `openssl rand -hex 32`; of several, separated by commas, the first signs",
            )

    def to_verify(self) -> list[str]:
        """Empty if no token was ever signed."""
        if not self._chosen and self._file and self._file.exists():
            self._chosen = self._read(self._file)
        return self._chosen

    def to_sign(self) -> str:
        """Raises NotAllowed on a server without the setting: processes on several machines need the same secret."""
        if secrets_ := self.to_verify():
            return secrets_[0]
        if self._file is None:
            raise NotAllowed(
                "tokens cannot be signed: ALSOBOUGHT_TOKEN_SECRET is not set", "Make one with `openssl rand -hex 32`"
            )
        draft = self._file.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        with suppress(FileExistsError):  # another process was faster
            os.link(draft, self._file)
        draft.unlink()
        return self.to_verify()[0]

    @staticmethod
    def _read(path: Path) -> list[str]:
        text = path.read_text().strip()
        if len(text) < MIN_SECRET:
            raise NotAllowed(
                f"{path.name} in the data folder holds no signing secret",
                "Delete it: a new one is made",
            )
        return [text]

    def __repr__(self) -> str:
        return "SigningSecrets()"
