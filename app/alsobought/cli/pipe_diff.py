"""`alsobought pipe diff`: compare the answers of two texts of a pipe."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import err, escaped, late_bar, out, print_json
from alsobought.errors import Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.pipe_diff.requests import Request

SHARE = click.FloatRange(0, 1)
RATIO = click.FloatRange(0, min_open=True)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("diff")
@click.argument("name")
@click.option("--base", metavar="REV", help="Take the old text from this git revision.  [default: HEAD]")
@click.option("--base-folder", type=FOLDER, help="Take the old text from this folder's pipes/ and sql/macros/.")
@click.option(
    "--requests", "limit", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Newest requests."
)
@click.option("--from", "source", type=click.Path(path_type=Path), help="Read the requests from this file.")
@click.option("--save", type=click.Path(path_type=Path), help="Write the requests to this file, for --from.")
@click.option("--with-users", is_flag=True, help="Show ids of users, and save their requests, too.")
@click.option("--min-overlap", type=SHARE, help="Fail below this mean rank-biased overlap: 0.8.")
@click.option("--max-slower", type=RATIO, help="Fail above this ratio of the median time, which is noisy: 1.5.")
@click.option("--max-rows-read", type=RATIO, help="Fail above this ratio of rows read, median or p95: 2.")
@click.option("--max-empty", type=SHARE, help="Fail above this share of empty answers: 0.05.")
@click.option("--allow-columns", is_flag=True, help="Allow columns to be removed or to change their type.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown, for a comment on a pull request.")
@click.pass_obj
def pipe_diff(
    settings: Settings,
    name: str,
    base: str | None,
    base_folder: Path | None,
    limit: int,
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
    """Run recorded requests on the old and the new text of a pipe, and compare. Exit status 1 if it fails.

    The new text is that of the working tree; macros and fallbacks come from the same side as the text. Both sides read
    the same data with the same clock, without a cache; each request is weighted by how often it was made. The comparison
    fails if the new text has errors that the old one had not, if columns are removed or change their type, and by the
    options.

    Where recorded lists of the pipe explored, the report estimates the click-through rate of either text from them.

    The file of --save has one request per line, {"item_id": ["tea"], "@times": 12}; "now" sets the clock of a line.
    Recorded requests are personal data: without --with-users, requests with a user_id, a session_id or the like are not
    saved, and the report has pseudonyms. Search words and rare combinations can identify users, too: review the file
    before you publish it.

    \b
    Example: alsobought pipe diff also_bought --base main
             alsobought pipe diff also_bought --from requests.ndjson --min-overlap 0.8 --markdown
    """
    from alsobought.pipe_diff.compare import build_report
    from alsobought.pipe_diff.execute import Executor, execute
    from alsobought.pipe_diff.markdown import to_markdown
    from alsobought.pipe_diff.off_policy import off_policy
    from alsobought.pipe_diff.requests import read_requests, recorded_requests
    from alsobought.pipe_diff.sides import open_side
    from alsobought.pipe_diff.terminal import print_report
    from alsobought.pipe_diff.thresholds import Thresholds
    from alsobought.writer.submission import utc_now

    if base is not None and base_folder is not None:
        raise click.UsageError("--base and --base-folder are mutually exclusive")
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown are mutually exclusive")
    requests = read_requests(source, limit) if source else None
    with ExitStack() as stack:
        old_folder, new_folder, label = stack.enter_context(_copies(settings, base or "HEAD", base_folder))
        warehouse = stack.enter_context(existing_warehouse(settings))
        old = open_side(label, old_folder, warehouse, name)
        new = open_side("working tree", new_folder, warehouse, name)
        if old.fault and new.fault:
            raise Unusable(f"both texts are broken; the new one: {new.fault}", "Fix it, then compare")
        if requests is None:
            requests = recorded_requests(warehouse, name, limit)
        if save:
            _save(save, requests, with_users)
        clock = utc_now()
        advance = stack.enter_context(late_bar(err, "Comparing", len(requests), "requests"))
        executor = Executor(warehouse, name, clock, keyed=bool(old.key and new.key))
        pairs = execute(old, new, executor, requests, advance)
        estimated = off_policy(old, new, executor, name, limit, clock, advance)
    thresholds = Thresholds(min_overlap, max_slower, max_rows_read, max_empty, allow_columns)
    report = build_report(name, old, new, pairs, clock, thresholds, estimated, with_users)
    if as_json:
        print_json(report)
    elif as_markdown:
        click.echo(to_markdown(report), nl=False)
    else:
        print_report(report, out)
    if report.missed:
        sys.exit(1)


@contextmanager
def _copies(settings: Settings, revision: str, base_folder: Path | None) -> Iterator[tuple[Path, Path, str]]:
    """Yields folders with copies of the old and the new files, and the label of the old one."""
    from alsobought.pipe_diff.revision import check_out, copy_working_tree

    with tempfile.TemporaryDirectory(prefix="alsobought-") as folder:
        old, new = Path(folder, "old"), Path(folder, "new")
        if base_folder is None:
            short_hash = check_out(settings.home_folder, revision, old)
            label = revision if revision.startswith(short_hash) else f"{revision} ({short_hash})"
        else:
            label = str(base_folder)
            copy_working_tree(base_folder, old)
        copy_working_tree(settings.home_folder, new)
        yield old, new, label


def _save(path: Path, requests: list[Request], with_users: bool) -> None:
    from alsobought.pipe_diff.pseudonyms import identifies_user
    from alsobought.pipe_diff.requests import write_requests

    saved = [request for request in requests if with_users or not any(map(identifies_user, request.parameters))]
    if saved:
        write_requests(path, saved)
    omitted = len(requests) - len(saved)
    note = f"; {omitted:,} identify a user and are omitted, --with-users saves them" if omitted else ""
    result = f"{len(saved):,} saved in {path}" if saved else f"{path} is not written"
    err.print(escaped(f"Requests: {result}{note}"), soft_wrap=True)
