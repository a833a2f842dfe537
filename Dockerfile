# syntax=docker/dockerfile:1
# The wheel with the locked versions of its dependencies: `docker build -t alsobought .`, then `docker run --env ALSOBOUGHT_ADMIN_KEY=… -p 8080:8080 alsobought`.
# /alsobought is a project as `alsobought init` makes it: mount your own over it.
# Without ALSOBOUGHT_DSN it keeps an embedded warehouse in /data; with it, nothing is stored in the container.
# It needs a key (ALSOBOUGHT_ADMIN_KEY_FILE), and no root file system that it can write: docs/how-to/deploy.md#containers.
# To pin the base image by its digest: --build-arg PYTHON=python@sha256:…, as `docker buildx imagetools inspect` prints it.
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
RUN python -m venv /venv
WORKDIR /src
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip /venv/bin/pip install --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY app app
COPY pipes pipes
COPY sql sql
COPY migrations migrations
COPY tests/pipes tests/pipes
RUN /venv/bin/pip wheel --disable-pip-version-check --no-deps --wheel-dir /wheel . \
    && /venv/bin/pip install --disable-pip-version-check --no-deps --no-index /wheel/*.whl

FROM ${PYTHON}
RUN useradd --system --uid 10001 --home-dir /data --create-home --shell /usr/sbin/nologin alsobought
COPY --from=build /venv /venv
WORKDIR /alsobought
RUN /venv/bin/alsobought init .
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ALSOBOUGHT_HOME=/alsobought \
    ALSOBOUGHT_DATA=/data/warehouse \
    ALSOBOUGHT_HOST=0.0.0.0
USER 10001:10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('ALSOBOUGHT_PORT', '8080') + '/healthz', timeout=4)"]
ENTRYPOINT ["alsobought"]
CMD ["serve"]
