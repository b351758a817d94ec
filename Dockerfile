# The runner, with the versions of constraints.txt. torch comes with the CUDA libraries, for `docker run --gpus all`.
# For a machine without a GPU, name the index of torch's CPU builds, which pytorch.org's page "Start locally" gives:
#   docker build --build-arg TORCH_INDEX=ADDRESS -t hfvae_runner .
#   docker run -v "$PWD":/work -v /my/data:/data hfvae_runner objective=hfvae beta=12
FROM python:3.12-slim

ARG TORCH_INDEX=
RUN useradd --create-home --uid 1000 runner
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY conf conf
COPY hydra_plugins hydra_plugins
COPY hfvae_runner hfvae_runner
# hadolint ignore=DL3013
RUN if [ -n "$TORCH_INDEX" ]; then \
      pip install --no-cache-dir torch torchvision -c constraints.txt --index-url "$TORCH_INDEX"; \
    fi \
    && pip install --no-cache-dir ".[joblib,export,parquet,tensorboard]" -c constraints.txt

USER 1000
WORKDIR /work
ENV HFVAE_DATA=/data
ENTRYPOINT ["python", "-m", "hfvae_runner"]
