"""What is asked of `mopd reverify`, by the command and by the deployment."""

from __future__ import annotations

from dataclasses import dataclass

from flows.folder.replay.other_contexts import split_place
from flows.runtime.shell import shell_command
from mopd.errors import InputError
from storage.stores.address import Address

AGAIN = "verify.version=again"
"""What verdicts of a check are told apart by, from those that they check."""
VERIFIER, VERSION = "verify.verifier", "verify.version"


@dataclass(frozen=True)
class ReverifyRequest:
    """Rollouts that are there are to be judged by another verifier, or by another version of theirs."""

    round: int | None = None
    """None: every round that is judged."""
    verifier: str | None = None
    """None: the one that judged them."""
    overrides: tuple[str, ...] = ()
    again: bool = False
    """By the same verifier, which should say the same."""
    apply: bool = False
    """Make it the run's."""

    def judging(self) -> list[str]:
        """The settings that judge, as overrides. Raises InputError for others, and where a check is to be applied."""
        if self.apply and self.again:
            raise InputError("--apply: a check by the same verifier has nothing to apply; leave --again or --apply out")
        overrides, _ = split_place(self.overrides)
        for override in overrides:
            if override.partition("=")[0].split(".")[0] != "verify":
                raise InputError(
                    f"--set {override}: decides no verdict; give settings of verify, or take mopd rerun or mopd fork"
                )
        return [*([] if self.verifier is None else [f"{VERIFIER}={self.verifier}"]), *overrides]

    def command(self, run: Address) -> str:
        """The command that asks for this."""
        text = shell_command("reverify", run, round=self.round, verifier=self.verifier, set=list(self.overrides))
        return f"{text} --again" if self.again else text
