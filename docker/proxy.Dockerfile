# The reverse proxy of compose.yaml: Caddy with our Caddyfile, for a user who may do nothing else.
ARG BASE=docker.io/library/caddy:2.11.7-alpine@sha256:d8542f48d34a9cf4e4c11a478865229840e87e4c96ea3f439101f31a5d35f75f

# hadolint ignore=DL3006
FROM ${BASE}
# As copied, Caddy does not ask for the capability to listen on ports below 1024; with all capabilities dropped, the
# kernel refuses to start a program that asks for one.
RUN cp /usr/bin/caddy /tmp/caddy && \
    mv /tmp/caddy /usr/bin/caddy && \
    mkdir -p /data && \
    chown 10002:10002 /data
COPY docker/Caddyfile /etc/caddy/Caddyfile
ENV XDG_DATA_HOME=/data \
    XDG_CONFIG_HOME=/tmp
USER 10002:10002
EXPOSE 8080 8443
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
