# One image with tapedeck's executables: `producer`, `consumer` and `tapedeck`. docker-compose.yml says which one runs.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# Cargo's downloads and the compiled crates stay in the builder's caches, which are not part of a layer: hence the copy.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --features tls -p producers -p consumers -p cli \
    && mkdir /executables \
    && cp target/release/producer target/release/consumer target/release/tapedeck /executables/

FROM debian:bookworm-slim
# HTTPS uses the system's certificate authorities; nothing else is needed at run time.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tapedeck \
    && install -d -o 10001 /var/lib/tapedeck
COPY --from=build /executables/ /usr/local/bin/
USER 10001
WORKDIR /tmp
CMD ["tapedeck", "--help"]
