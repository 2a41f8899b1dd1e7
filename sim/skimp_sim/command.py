"""What all commands share."""

import shlex
from pathlib import Path

import click
from rich.console import Console

from skimp_compiler.graph import ModelError
from skimp_sim.report import check_writable

__all__ = ["EXIT_DIFFERENT", "Refusing", "check_outputs", "command_line", "wide_console"]

EXIT_DIFFERENT = 1
"""A network ran, and something is not what the reference says."""

EXIT_BAD = 2

_ARGUMENTS = "skimp.arguments"
"""Key of the arguments in the context of a command."""

PLOT_SUFFIXES = (".svg", ".png")


class Refusing(click.Command):
    """A command that turns its user's errors into one line on stderr and exit status 2."""

    user_errors: tuple[type[Exception], ...] = (ModelError,)

    def make_context(self, info_name, args, parent=None, **extra):
        given = tuple(args)  # which parsing takes away
        context = super().make_context(info_name, args, parent, **extra)
        context.meta[_ARGUMENTS] = given
        return context

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except self.user_errors as error:
            message = " ".join(str(error).split())
            click.echo(f"skimp: {message}", err=True)
            ctx.exit(EXIT_BAD)


def command_line() -> str:
    """Return the `skimp` command that runs, as a shell takes it."""
    return shlex.join(("skimp", *click.get_current_context().meta[_ARGUMENTS]))


def check_outputs(*paths: str | None, plot: str | None = None) -> None:
    """Refuse output files before the work, not behind it; None: is not asked for.

    Raises
    ------
    ModelError
        A file cannot be written, or the plot is neither .svg nor .png.
    """
    if plot and Path(plot).suffix not in PLOT_SUFFIXES:
        raise ModelError(f"{plot}: plots are written as .svg or .png; choose one of them")
    for path in filter(None, (*paths, plot)):
        check_writable(path)


def wide_console() -> Console:
    """Return a console wide enough for the tables, whatever it is piped into."""
    return Console(highlight=False, width=max(Console().width, 140))
