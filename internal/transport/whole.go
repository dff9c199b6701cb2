// Package transport has what the operator's HTTP transports have in common.
package transport

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// Whole reads an answer to its end, so that one that breaks off is known at once and can be asked for again. It takes what
// RoundTrip returns; the answer is an error when it cannot be read.
func Whole(resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
