"""HTTP: endpoints, formats, OpenAPI, the workbench; in `http` the connections, which a gunicorn worker holds."""
