# The image of the gateway; `--target demo` adds what the demo needs. Nothing is downloaded when
# a container runs.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/lark-service
ENV PATH=/opt/lark-service/bin:$PATH
WORKDIR /src
# Dependencies first: this layer is rebuilt only when they change.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" > /tmp/requirements.txt \
    && pip install -c constraints.txt -r /tmp/requirements.txt
COPY . .
RUN pip install --no-deps .

FROM build AS build-demo
RUN pip install -c constraints.txt ./client '.[demo]'

FROM ${PYTHON_IMAGE} AS runtime
LABEL org.opencontainers.image.title="lark-service" \
      org.opencontainers.image.description="An event-driven gateway to the Feishu (Lark) OpenAPI over RabbitMQ." \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --user-group --home-dir /nonexistent --shell /usr/sbin/nologin lark
ENV PATH=/opt/lark-service/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LARK_SERVICE_HEALTH_HOST=0.0.0.0 \
    LARK_SERVICE_HEALTH_PORT=8080
COPY --from=build /opt/lark-service /opt/lark-service
# As the recovery guide prints them: python scripts/health_check.py.
COPY scripts /opt/lark-service/scripts
WORKDIR /opt/lark-service
USER lark
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["lark-service", "healthcheck"]
ENTRYPOINT ["lark-service"]
CMD ["serve"]

FROM runtime AS demo
COPY --from=build-demo /opt/lark-service /opt/lark-service
# The demo runs them as a reader would.
COPY examples /opt/lark-service/examples
HEALTHCHECK NONE
CMD ["demo"]

# The last stage is what a build without --target makes.
FROM runtime
