package main

import (
	"net/http"
	"os"
	"time"
)

// Later versions answer /readyz, which charts ask for. Here it is answered as soon as this process has written what the CNI plugin
// reads.
func init() {
	started := time.Now()
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if info, err := os.Stat("/run/flannel/subnet.env"); err != nil || info.ModTime().Before(started) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}
