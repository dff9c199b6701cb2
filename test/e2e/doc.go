// Package e2e tests the network with packets, on a cluster of real nodes (test/nodes), from a cluster without any network to the
// last NetworkStack's end. The operator is deployed as users deploy it: an image, by its chart.
package e2e
