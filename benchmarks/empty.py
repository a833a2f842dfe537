"""The ceiling of HTTP: an empty Flask route under gunicorn with the settings of the service, and nothing else."""

from __future__ import annotations

import sys

from flask import Flask
from gunicorn.app.base import BaseApplication

from alsobought.settings import Settings
from alsobought.web.server import _gunicorn_options


class Empty(BaseApplication):  # type: ignore[misc]
    def load_config(self) -> None:
        options = _gunicorn_options(Settings(port=int(sys.argv[1]))) | {"worker_class": "gthread"}
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        app = Flask(__name__)
        app.add_url_rule("/", view_func=lambda: "{}")
        return app


if __name__ == "__main__":
    Empty().run()
