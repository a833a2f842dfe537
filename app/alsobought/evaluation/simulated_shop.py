"""A fresh shop for a simulation, in this process: its project, its surfaces and experiments, its clock, and its front door.

The shop is asked as its pages would ask it, through the WSGI application; only the socket is missing, and the clock is the
simulation's. So days pass in seconds, and nothing in the shop knows that it is simulated.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from alsobought.demo.simulator.visit import BELOW, HOME, SIMILAR, Clock
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.web.factory import create_app
from alsobought.web.in_process import InProcessDoor

PARTS = ("pipes", "sql", "migrations")  # of a project
SURFACES = f"""{HOME}:
  pipe: for_you
  limit: 8
{BELOW}:
  pipe: also_bought_ranked
  limit: 6
{SIMILAR}:
  pipe: viewed_also_viewed
  limit: 4
"""
HOLDOUT_EXPERIMENT, VARIANT_EXPERIMENT = "home_page", "below_products"
CONTROL, HOLDOUT, RIVAL = "control", "nothing", "related"
EXPERIMENTS = f"""{HOLDOUT_EXPERIMENT}:
  surface: {HOME}
  metric: revenue_per_unit
  from: {{start:%F}}
  variants:
    {CONTROL}: {{{{share: 60%}}}}
    {HOLDOUT}: {{{{share: 40%, holdout: true}}}}
{VARIANT_EXPERIMENT}:
  surface: {BELOW}
  metric: click_through_rate
  from: {{start:%F}}
  variants:
    {CONTROL}: {{{{share: 50%, parameters: {{{{category: Pets}}}}}}}}
    {RIVAL}: {{{{share: 50%}}}}
"""


@dataclass(frozen=True)
class SimulatedShop:
    """`clock` is that of the service."""

    service: Service
    clock: Clock

    @cached_property
    def door(self) -> InProcessDoor:
        return InProcessDoor(create_app(self.service))

    def time_has_passed(self) -> None:
        """The cache goes by the clock of the machine, and the logs of requests are stored once a second of it."""
        self.service.cache.clear()
        self.service.recommendations.flush()
        if self.service.request_log:
            self.service.request_log.flush()


def write_project(
    project: Path, home: Path, start: datetime, surfaces: str = SURFACES, experiments: str = EXPERIMENTS
) -> None:
    """The files of this project in a new one, with the surfaces and experiments that are simulated."""
    for part in PARTS:
        shutil.copytree(project / part, home / part)
    (home / "sql" / "surfaces.yaml").write_text(surfaces)
    (home / "sql" / "experiments.yaml").write_text(experiments.format(start=start))


@contextmanager
def simulated_shop(
    project: Path,
    start: datetime,
    into: Path | None = None,
    *,
    surfaces: str = SURFACES,
    experiments: str = EXPERIMENTS,
    learn_online: int = 0,
) -> Iterator[SimulatedShop]:
    """A shop with the pipes of this project. It is in memory, or with `into` in that new folder, and stays there."""
    with tempfile.TemporaryDirectory(prefix="alsobought-") as temporary:
        home = into or Path(temporary)
        write_project(project, home, start, surfaces, experiments)
        dsn = "" if into else "chdb://:memory:"
        folder = str(home / "data")
        settings = Settings(
            home=str(home), data=folder, dsn=dsn, batch_seconds=0.001, slow_seconds=0, learn_online=learn_online
        )
        clock = Clock(start)
        service = open_service(settings, clock)
        shop = SimulatedShop(service, clock)
        try:
            yield shop
        finally:
            shop.door.close()
            service.close()
