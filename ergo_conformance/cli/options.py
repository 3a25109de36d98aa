"""Options of a command, made from a table of options (targets/options.py)."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from ..targets.options import Option, options_of

Table = TypeVar("Table")


def takes(table: type[Table], arguments: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator of a typer command `command(context, options)`: the rows of `table` become its options.

    `arguments`: names of the rows that are positional arguments.
    """

    def decorate(command: Callable[[typer.Context, Table], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(context: typer.Context, **values: Any) -> None:
            given = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if v is not None}
            command(context, table(**given))

        parameters = [_parameter(row, positional=row.name in arguments) for row in options_of(table)]
        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        run.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
        return run

    return decorate


def _parameter(row: Option, *, positional: bool) -> inspect.Parameter:
    """The parameter of a typer command for one row."""
    value: Any = list[str] if row.type is list else row.type
    if row.default in (None, ()):
        value |= None
    info: Any
    if positional:
        info = typer.Argument(help=row.help)
    else:
        info = typer.Option(
            *(row.flags or (row.flag,)),
            help=row.help,
            metavar=row.metavar or None,
            envvar=row.environment or None,
            show_envvar=bool(row.environment),
        )
    return inspect.Parameter(
        row.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if row.default == () else row.default,
        annotation=Annotated[value, info],
    )


def pytest_arguments(options: object, table: type) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of a pytest session for the values of `options` that differ from the defaults of `table`.

    Secrets go into the environment, where other users of the machine can't read them.
    """
    arguments: list[str] = []
    environment: dict[str, str] = {}
    for row in options_of(table):
        value = getattr(options, row.name)
        if value == row.default and row.name != "target":
            continue
        if row.environment:
            environment[row.environment] = value
        elif row.type is bool:
            arguments.append(row.pytest_flag)
        else:
            for each in value if row.type is list else (value,):
                arguments += [row.pytest_flag, str(each)]
    return arguments, environment
