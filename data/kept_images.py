"""Lists the decoded pictures that are kept, and clears them: `python -m data.kept_images`."""

from __future__ import annotations

from system.start import quiet_imports

if __name__ == "__main__":
    quiet_imports()

from datetime import datetime
from typing import Annotated

import typer

from data import array_cache
from system.command import App
from system.names import printable
from system.streams import say

app = App()


@app.command()
def main(clear: Annotated[bool, typer.Option("--clear", help="Remove them all.")] = False) -> None:
    """List the pictures that were decoded and kept for the next command, or remove them."""
    entries = array_cache.entries()
    if clear:
        freed = array_cache.clear()
        say(f"removed {len(entries)} sets of images from {array_cache.folder()}, {freed / 1e6:,.0f} MB")
        return
    for _, size, place, made in sorted(entries, key=lambda entry: entry[3]):
        print(f"{datetime.fromtimestamp(made):%Y-%m-%d %H:%M}  {size / 1e6:8,.1f} MB  {printable(place)}")
    total = sum(size for _, size, _, _ in entries)
    say(f"{len(entries)} sets of images in {array_cache.folder()}, {total / 1e6:,.0f} MB; --clear removes them")


if __name__ == "__main__":
    app()
