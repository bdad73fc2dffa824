"""A development secret that is drawn once and kept, so that tokens survive a restart."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

FILE: Final = Path(".dev") / "secret"


def kept(file: Path = FILE) -> str:
    """Return the secret in `file`, 43 characters of base64url, drawing it first where there is none."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=file.parent) as drawn:  # mode 600
            drawn.write(secrets.token_urlsafe(32))
            drawn.flush()
            with suppress(FileExistsError):  # a whole secret or none, whoever else starts right now
                os.link(drawn.name, file)
    return file.read_text()
