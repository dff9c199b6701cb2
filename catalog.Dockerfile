# The catalogue for the Operator Lifecycle Manager: what make catalog wrote, served by opm.
ARG OPM_IMAGE=quay.io/operator-framework/opm:v1.74.0
FROM ${OPM_IMAGE} AS builder
COPY catalog /configs
RUN ["/bin/opm", "serve", "/configs", "--cache-dir=/tmp/cache", "--cache-only"]

FROM ${OPM_IMAGE}
ENTRYPOINT ["/bin/opm"]
CMD ["serve", "/configs", "--cache-dir=/tmp/cache"]
COPY --from=builder /configs /configs
COPY --from=builder /tmp/cache /tmp/cache
LABEL operators.operatorframework.io.index.configs.v1=/configs
