"""What all commands share."""

import click

from skimp_compiler.graph import ModelError

__all__ = ["Refusing"]

EXIT_BAD = 2


class Refusing(click.Command):
    """A command that turns its user's errors into one line on stderr and exit status 2."""

    user_errors: tuple[type[Exception], ...] = (ModelError,)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except self.user_errors as error:
            message = " ".join(str(error).split())
            click.echo(f"skimp: {message}", err=True)
            ctx.exit(EXIT_BAD)
