# syntax=docker/dockerfile:1
# The app with its pipes, SQL and migrations: `docker build -t alsobought .`, then `docker run -p 8080:8080 alsobought`.
# Without ALSOBOUGHT_DSN it keeps an embedded warehouse in /data; with it, nothing is stored in the container.

FROM python:3.11-slim AS build
RUN python -m venv /venv
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY app app
RUN --mount=type=cache,target=/root/.cache/pip /venv/bin/pip install --disable-pip-version-check .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home alsobought
COPY --from=build /venv /venv
WORKDIR /alsobought
COPY pipes pipes
COPY sql sql
COPY migrations migrations
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ALSOBOUGHT_HOME=/alsobought \
    ALSOBOUGHT_DATA=/data/warehouse \
    ALSOBOUGHT_HOST=0.0.0.0
USER alsobought
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('ALSOBOUGHT_PORT', '8080') + '/healthz', timeout=4)"]
ENTRYPOINT ["alsobought"]
CMD ["serve"]
