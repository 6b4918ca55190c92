"""`lark-service token`: the tokens that the fleet shares, and renewing one."""

from __future__ import annotations

import typer

from .commands import refresh_token, token_info, token_status, validate
from .listing import token_list
from .warm_up import warm_up

app = typer.Typer(
    help="The tokens that the fleet shares: what there is, and renewing one.", no_args_is_help=True
)
app.command("list")(token_list)
app.command("status")(token_status)
app.command("info")(token_info)
app.command("refresh")(refresh_token)
app.command("validate")(validate)
app.command("warm-up")(warm_up)
