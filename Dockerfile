# docker build -t easel .
# mkdir -p models data       # yours, not root's: the container's user has the id 1000, and writes into data
# docker run --gpus all -p 7860:7860 -e EASEL_AUTH=name:password -v ./models:/models -v ./data:/data easel
# The CUDA libraries come with torch's own packages; the host only needs the driver. docs/deployment.md tells more.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# Two libraries that OpenCV wants, which finds edges for guides.
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /easel
COPY requirements.txt requirements-postgres.txt ./
RUN pip install --quiet -r requirements.txt -r requirements-postgres.txt

# .dockerignore lets in only what runs.
COPY . .
RUN python -m compileall -q . \
    && useradd --create-home --uid 1000 easel \
    && mkdir /data /models && chown easel /data /models

# Everything is written into /data and /tmp, so the rest may be read-only: --read-only --tmpfs /tmp
ENV HF_HOME=/tmp/huggingface MPLCONFIGDIR=/tmp/matplotlib XDG_CACHE_HOME=/tmp/cache
USER easel
VOLUME ["/data", "/models"]
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/health', timeout=4)"]
# Easel listens beyond this machine only with accounts: set EASEL_AUTH or EASEL_ADMIN, see easel.env.example.
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--data", "/data", "--models", "/models"]
