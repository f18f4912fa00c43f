# syntax=docker/dockerfile:1
# Pullquote, CPU only. The image holds the prepared models and needs no network afterwards; it runs as nobody special,
# with a root file system that may be read-only: what is written lies in /data and /tmp.
FROM python:3.12-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 RAG_CACHE=/opt/cache
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY pyproject.toml constraints.txt LICENSE README.md ./
COPY rag rag
RUN pip install --index-url https://download.pytorch.org/whl/cpu "torch>=2.4,<2.14" \
    && pip install --constraint constraints.txt ".[postgres,oidc]" \
    && rag models prepare

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --create-home pullquote && install -d -o pullquote /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/cache /opt/cache
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 RAG_CACHE=/opt/cache ORT_DISABLE_TELEMETRY=1 RAG_INDEX=/data/index RAG_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:7860/readyz', headers={'host': '127.0.0.1'}))"]
ENTRYPOINT ["rag"]
CMD ["serve"]
