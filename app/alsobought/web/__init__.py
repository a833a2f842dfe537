"""HTTP: endpoints, formats, OpenAPI, the workbench; below it the connections, which a gunicorn worker holds."""
