//go:build ignore

package udp
