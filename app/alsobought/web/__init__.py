"""HTTP: endpoints, formats, OpenAPI, the workbench, and the gunicorn worker that serves them."""
