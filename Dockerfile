# syntax=docker/dockerfile:1
# Pinned by tag. Where you build for production, pin the digest that your registry shows for it:
#   FROM golang:1.26-bookworm@sha256:...
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -tags nomsgpack -ldflags='-s -w' -o /rollcall ./cmd/rollcall

# Nothing but the binary and the authorities that sign Central's certificates: no shell, no package manager, no root.
# Time zones are in the binary.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /rollcall /rollcall
USER 65532:65532
ENV ROLLCALL_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/rollcall", "healthcheck"]
ENTRYPOINT ["/rollcall"]
CMD ["serve"]
