# Glasshull in an image of one file.
#   docker build -t glasshull .                        builds everything inside
#   docker build -t glasshull --target prebuilt .      takes dist/glasshull as `cargo xtask dist` left it
# The image alone shows nothing of the host: see compose.yaml for what a container must be given.

# What both images share. The stages with the binary come before the compiler's,
# so that builders which run every stage up to the target pull nothing for `prebuilt`.
FROM scratch AS base
# Without root replays and whatever the kernel tells anyone work. compose.yaml sets user 0, because a
# capability added to a container reaches a process of another user only through file capabilities,
# and no-new-privileges switches those off.
USER 65534:65534
EXPOSE 7070
ENTRYPOINT ["/glasshull"]

FROM base AS prebuilt
COPY dist/glasshull /glasshull

FROM rust:1-bookworm AS build
# The agent's build needs the headers, the app's the wasm32 library: xtask would install both, in a layer
# made anew with every change of the sources.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libpcap-dev \
    && rm -rf /var/lib/apt/lists/* \
    && rustup target add wasm32-unknown-unknown
WORKDIR /src
COPY . .
RUN cargo xtask dist

FROM base
COPY --from=build /src/dist/glasshull /glasshull
