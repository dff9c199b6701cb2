# The operator in an image of its own binary and nothing else: the charts it carries are embedded in the binary.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=unknown
WORKDIR /src

# Dependencies first: they change more rarely than the code and are kept as a layer.
COPY go.mod go.sum ./
RUN go mod download

COPY api/ api/
COPY charts/ charts/
COPY cmd/ cmd/
COPY internal/ internal/
RUN CGO_ENABLED=0 GOOS=${TARGETOS:-linux} GOARCH=${TARGETARCH} \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" \
    -o /out/networkstack-operator ./cmd/operator

FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/networkstack-operator /networkstack-operator
USER 65532:65532
ENTRYPOINT ["/networkstack-operator"]
