# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "aiohttp>=3.14.5",
#     "orjson>=3.13.0",
#     "attrs>=24.2",
#     "cattrs>=24.1",
#     "tomli>=2.2.1",
# ]
# ///
"""modelserver as one script: `python server.py` serves the models of the `models.toml` beside it."""

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 (said before anything that an older Python can't read)
    sys.exit("modelserver needs Python 3.11 or newer; this is {}.{}.".format(*sys.version_info[:2]))

try:
    from modelserver.cli import main
except ModuleNotFoundError as missing:
    if str(missing.name).partition(".")[0] not in ("aiohttp", "orjson", "attr", "attrs", "cattrs", "tomli"):
        raise
    sys.exit(
        f"{missing.name} is not installed. Run `uv run server.py`, or the command under `Run` in README.md; "
        "once that has run: .venv/bin/python server.py"
    )

if __name__ == "__main__":
    sys.exit(main(home=Path(__file__).resolve().parent))
