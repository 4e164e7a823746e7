# The image of every process of ackbox (operator, ccm, slb with Envoy), for amd64 and arm64. `hack/image` builds it.
#
# BASE is any image with Python 3.11 or newer as `python3`, with `venv`. Pin it by digest where builds must be repeatable:
#   hack/image --build-arg BASE=docker.io/library/python:3.11-slim-bookworm@sha256:…
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS packages
WORKDIR /source
# An environment without pip inside is filled by one that stays behind.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/ackbox
COPY pyproject.toml requirements.txt hack/image-requirements.py ./
# Versions and hashes come from the lock file; the base's own pip may be too old to take them as constraints.
RUN python3 image-requirements.py pip setuptools > tools.txt \
 && /tools/bin/pip install --no-cache-dir --require-hashes --requirement tools.txt \
 && python3 image-requirements.py > needed.txt \
 && /tools/bin/pip --python /opt/ackbox/bin/python3 install --no-cache-dir --no-compile \
      --require-hashes --constraint requirements.txt --requirement needed.txt

FROM packages AS ackbox
COPY setup.py README.md LICENSE ./
COPY crds crds
COPY tools tools
COPY operator operator
# Installed twice: among the packages to compile what a process loads, and nothing else; by itself for a layer of its own,
# so that another version of ackbox is a small download.
RUN /tools/bin/pip wheel --no-cache-dir --no-deps --no-index --no-build-isolation --wheel-dir /wheel . \
 && /tools/bin/pip --python /opt/ackbox/bin/python3 install --no-cache-dir --no-deps --no-index --no-compile /wheel/*.whl \
 && /tools/bin/pip --python /opt/ackbox/bin/python3 install --no-cache-dir --no-deps --no-index --no-compile \
      --ignore-installed --root /added /wheel/*.whl \
 && mkdir /compiled \
 && PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=/compiled /opt/ackbox/bin/python3 -c \
      'import ackbox.cli, ackbox.cloud.main, ackbox.ccm.main, ackbox.dataplane.main'

FROM ${BASE}
ARG VERSION=
LABEL org.opencontainers.image.title=ackbox \
      org.opencontainers.image.description="Alibaba Cloud ACK in a box" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION}
COPY --from=packages /opt/ackbox /opt/ackbox
COPY --from=ackbox /added /
COPY --from=ackbox /compiled /compiled
# What is inside is read off this very file system.
RUN --mount=type=bind,source=hack/sbom.py,target=/run/sbom.py \
    mkdir -p /usr/share/doc/ackbox && python3 /run/sbom.py / > /usr/share/doc/ackbox/sbom.cdx.json
# The root file system is read-only: processes write below HOME, /run/ackbox and /tmp.
ENV PATH=/opt/ackbox/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/var/lib/ackbox \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/compiled \
    PYTHONUNBUFFERED=1
WORKDIR /
USER 65532:65532
ENTRYPOINT ["ackbox"]
