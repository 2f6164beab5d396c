"""The list of commands in `--help`, with whole sentences."""

from typing import Any

from typer.core import TyperGroup

NO_LIMIT = 10_000  # characters


class WholeHelp(TyperGroup):
    """A group of commands whose help shows the first sentence of each command uncut.

    Typer itself cuts a sentence that is longer than a line, and puts three dots at its end.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names of the commands and their first sentences, which are wrapped."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(NO_LIMIT))
                    for name, command in commands
                    if command is not None and not command.hidden
                ]
            )
