# syntax=docker/dockerfile:1
# The wheel with the locked versions of its dependencies: `docker build -t alsobought .`, then `docker run -p 8080:8080 alsobought`.
# /alsobought is a project as `alsobought init` makes it: mount your own over it.
# Without ALSOBOUGHT_DSN it keeps an embedded warehouse in /data; with it, nothing is stored in the container.

FROM python:3.11-slim AS build
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

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home alsobought
COPY --from=build /venv /venv
WORKDIR /alsobought
RUN /venv/bin/alsobought init .
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
