// Package udp is empty: that backend needs a C compiler, and the tests do not use it.
package udp
