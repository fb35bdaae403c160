"""Which contexts of a round are looked at, as `mopd analyze signal`, `mopd probe` and their flows take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.runtime.shell import shell_command
from mopd.errors import InputError
from mopd.settings.context_choice import ContextChoice, choice_grid
from storage.runs import RunFolder
from storage.stores.address import Address


@dataclass(frozen=True)
class ContextsRequest:
    """Each variant under all renderings and orders that make a difference to it; none of these: as the run has them."""

    round: int
    """Whose rollouts."""
    variants: Sequence[str] = ()
    renderings: Sequence[str] = ()
    orders: Sequence[str] = ()
    overrides: Sequence[str] = ()
    """For all contexts, as `--set` takes them."""
    out: Path | None = None
    """For page, table and plot; None: in the run."""

    def choices(self, usual: Sequence[str] = ()) -> list[ContextChoice]:
        """The contexts; those of `usual` where no variants are named. Raises InputError."""
        try:
            return choice_grid(self.variants or usual, self.renderings, self.orders)  # type: ignore[arg-type]
        except ValueError as error:
            raise InputError(f"--variants: {error}") from None

    def folder(self, run: RunFolder, kind: str) -> Path:
        """Where page, table and plot lie."""
        return self.out or run.path / "analysis" / f"{kind}-round={self.round:04d}"

    def command(self, name: str, path: Address, *, run: Address | None = None, reference: str | None = None) -> str:
        """The command that asks for this."""
        grid = {"variants": self.variants, "renderings": self.renderings, "orders": self.orders}
        beside = {"reference": reference, "set": self.overrides, "out": self.out}
        return shell_command(name, path, run=run, round=self.round, **grid, **beside)
