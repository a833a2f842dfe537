"""`alsobought token`: sign a token, to try what a user's browser may ask."""

from __future__ import annotations

import click

from alsobought.cli.audited import audited
from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import err
from alsobought.errors import BadRequest, NotAllowed, Unusable
from alsobought.settings import Settings
from alsobought.storage.folder_lock import folder_of


@click.group("token")
def token() -> None:
    """Sign tokens with which browsers ask about their own user.

    \b
    Example: alsobought token create --user ada
    """


@token.command("create")
@click.option("--user", default="", help="The user_id that it fixes.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Another fixed parameter; repeat it.")
@click.option(
    "--pipe", "pipes", multiple=True, help="A pipe that it may ask; repeat it. Default: all of this user alone."
)
@click.option("--events", is_flag=True, help="It may also post events of this user.")
@click.option("--origin", default="", help="The pages it works on; default: all.")
@click.option("--minutes", type=click.IntRange(1, 1440), default=15, show_default=True, help="How long it is valid.")
@click.pass_obj
def token_create(
    settings: Settings,
    user: str,
    params: tuple[str, ...],
    pipes: tuple[str, ...],
    events: bool,
    origin: str,
    minutes: int,
) -> None:
    """Sign a token with the secret of the service and print it. In production your backend calls POST /tokens.

    \b
    Example: alsobought token create --user ada --events --minutes 60
    """
    from alsobought.access.scopes import EVENTS, READ
    from alsobought.access.tokens import Grant, Signer
    from alsobought.signing_secrets import SigningSecrets
    from alsobought.storage.identities import user_key

    fixed = {"user_id": user} if user else {}
    for pair in params:
        name, is_pair, value = pair.partition("=")
        if not is_pair:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--param")
        fixed[name] = value
    grant = Grant(
        params=fixed,
        pipes=pipes or None,
        scopes=(READ, EVENTS) if events else (READ,),
        origin=origin,
        seconds=60 * minutes,
    )
    folder = folder_of(settings.warehouse_dsn)
    if folder and not folder.is_dir():
        raise Unusable(f"there is no warehouse in {folder}", "Start the service once: `alsobought serve`")
    signer = Signer(SigningSecrets(settings.token_secret, folder), settings.database, settings.token_seconds)
    detail = {"fixed": sorted(fixed), "pipes": pipes, "scopes": grant.scopes, "origin": origin, "minutes": minutes}
    try:
        with existing_warehouse(settings) as warehouse:
            subject = f"user {user_key(warehouse, user)}" if user else ""
            with audited(warehouse, "token.create", subject, **detail):
                text, _ = signer.sign(grant, "")
    except (BadRequest, NotAllowed) as error:
        raise Unusable(error.message, error.hint) from error
    click.echo(text)
    err.print(f"Valid for {minutes} minutes. Send it as Authorization: Bearer …", soft_wrap=True)
