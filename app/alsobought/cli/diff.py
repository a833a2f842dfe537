"""`alsobought pipe diff`: what a change of a pipe's text, or of a macro, changes in its answers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alsobought.console import err, escaped, late_bar, out, print_json
from alsobought.errors import Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.pipe_diff.requests import Request

SHARE = click.FloatRange(0, 1)
RATIO = click.FloatRange(0, min_open=True)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("name")
@click.option("--base", metavar="REV", help="The old text is that of this git revision.  [default: HEAD]")
@click.option("--base-folder", type=FOLDER, help="The old text is in this folder's pipes/ and sql/macros/.")
@click.option(
    "--requests", type=click.IntRange(1, 10_000), default=200, show_default=True, help="How many, the newest."
)
@click.option("--from", "source", type=click.Path(path_type=Path), help="Requests of this file, not recorded ones.")
@click.option("--save", type=click.Path(path_type=Path), help="Write the requests to this file, for --from.")
@click.option("--with-users", is_flag=True, help="Name people in what is shown, and save their requests, too.")
@click.option("--min-overlap", type=SHARE, help="Fail under this mean rank-biased overlap: 0.8.")
@click.option("--max-slower", type=RATIO, help="Fail over this ratio of the median time, which is noisy: 1.5.")
@click.option("--max-rows-read", type=RATIO, help="Fail over this ratio of rows read, median or p95: 2.")
@click.option("--max-empty", type=SHARE, help="Fail over this share of empty answers: 0.05.")
@click.option("--allow-columns", is_flag=True, help="Columns may go and may change their types.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The report for a comment on a pull request.")
@click.pass_obj
def diff(
    settings: Settings,
    name: str,
    base: str | None,
    base_folder: Path | None,
    requests: int,
    source: Path | None,
    save: Path | None,
    with_users: bool,
    min_overlap: float | None,
    max_slower: float | None,
    max_rows_read: float | None,
    max_empty: float | None,
    allow_columns: bool,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Ask recorded requests of the old and of the new text of a pipe, and show what changes. Exit status 1 if it fails.

    The new text is that of the working tree; macros and fallbacks come from the same side as the text. Both are asked on
    the same data, by the same clock, nothing from a cache; each request counts as often as it was asked. It fails where
    the new text has errors that the old one had not, where columns go or change their type, and by the options.

    The file that --save writes has a request a line, {"item_id": ["tea"], "@times": 12}, and "now" may give a line a clock of
    its own. Recorded requests tell who looked at what: those with a user_id, a session_id or the like are not saved and
    nobody is named in the report unless you say --with-users. Search words and rare combinations can tell, too: read the
    file before you publish it.

    \b
    Example: alsobought pipe diff also_bought --base main
             alsobought pipe diff also_bought --from requests.ndjson --min-overlap 0.8 --markdown
    """
    from alsobought.pipe_diff.ask import replay, side
    from alsobought.pipe_diff.compare import report
    from alsobought.pipe_diff.markdown import markdown
    from alsobought.pipe_diff.report import Thresholds
    from alsobought.pipe_diff.requests import read_requests, recorded
    from alsobought.pipe_diff.shown import show
    from alsobought.service.ipc_client import reach_warehouse
    from alsobought.writer.submission import utc_now

    if base is not None and base_folder is not None:
        raise click.UsageError("--base and --base-folder both name the old text: give one of them")
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown are two shapes of one report: give one of them")
    given = read_requests(source, requests) if source else None
    with ExitStack() as stack:
        old_folder, new_folder, label = stack.enter_context(_texts(settings, base or "HEAD", base_folder))
        warehouse = reach_warehouse(settings, create=False)
        stack.callback(warehouse.close)
        old, new = side(label, old_folder, warehouse, name), side("working tree", new_folder, warehouse, name)
        if old.fault and new.fault:
            raise Unusable(f"both texts are broken; the new one: {new.fault}", "Mend it, then compare")
        asked = given if given is not None else recorded(warehouse, name, requests)
        if save:
            _save(save, asked, with_users)
        clock = utc_now()
        told = stack.enter_context(late_bar(err, "Asking", len(asked), "requests"))
        pairs = replay(old, new, warehouse, name, asked, clock, told)
    thresholds = Thresholds(min_overlap, max_slower, max_rows_read, max_empty, allow_columns)
    made = report(name, old, new, pairs, clock, thresholds, with_users)
    if as_json:
        print_json(made)
    elif as_markdown:
        click.echo(markdown(made), nl=False)
    else:
        show(made, out)
    if made.missed:
        sys.exit(1)


@contextmanager
def _texts(settings: Settings, revision: str, folder: Path | None) -> Iterator[tuple[Path, Path, str]]:
    """Folders with the old and the new text and what the old one is called. Copies: nobody edits them meanwhile."""
    from alsobought.pipe_diff.revision import check_out, copy

    with tempfile.TemporaryDirectory(prefix="alsobought-") as made:
        old, new = Path(made, "old"), Path(made, "new")
        if folder is None:
            hashed = check_out(settings.home_folder, revision, old)
            label = revision if revision.startswith(hashed) else f"{revision} ({hashed})"
        else:
            label = str(folder)
            copy(folder, old)
        copy(settings.home_folder, new)
        yield old, new, label


def _save(path: Path, requests: list[Request], with_users: bool) -> None:
    from alsobought.pipe_diff.people import names_a_person
    from alsobought.pipe_diff.requests import write_requests

    kept = [one for one in requests if with_users or not any(map(names_a_person, one.parameters))]
    if kept:
        write_requests(path, kept)
    left = len(requests) - len(kept)
    of = f"; {left:,} name a person and are left out, --with-users saves them" if left else ""
    saved = f"{len(kept):,} saved in {path}" if kept else f"{path} is not written"
    err.print(escaped(f"Requests: {saved}{of}"), soft_wrap=True)
