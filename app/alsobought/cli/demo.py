"""`alsobought demo`: load a data set once, then serve it."""

from __future__ import annotations

import os
import sys

import click
import msgspec

from alsobought.console import err
from alsobought.demo.datasets.names import DATASETS
from alsobought.project.package_files import own_project
from alsobought.settings import Settings


@click.command()
@click.option("--dataset", type=click.Choice(DATASETS), default="journey", show_default=True)
@click.option("--edit", is_flag=True, help="Same as `serve --edit`.")
@click.pass_obj
def demo(settings: Settings, dataset: str, edit: bool) -> None:
    """Load a data set once, then serve it.

    \b
    Example: alsobought demo --dataset toyshop
    """
    from alsobought.demo.load import load_demo
    from alsobought.web.server import (
        require_free_port_and_folder,
        require_restricted_editing,
        require_writer_beside_workers,
    )

    if edit:
        own_project(settings)
        require_restricted_editing(settings)
    settings = _demo_settings(settings, dataset)
    require_writer_beside_workers(settings)
    require_free_port_and_folder(settings)
    load_demo(settings, dataset, err)
    # In a new process: the engine that loaded the data does not survive the fork of the web server.
    os.environ["ALSOBOUGHT_DATA"] = settings.data
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "alsobought", "serve", "--demo", *["--edit"] * edit])  # noqa: S606


def _demo_settings(settings: Settings, dataset: str) -> Settings:
    return msgspec.structs.replace(settings, data=str(settings.data_folder / dataset))
