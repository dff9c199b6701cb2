package release

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"k8s.io/apimachinery/pkg/types"
)

// Answers that pass are asked for again within the request, with the same body; others, and the end of the action, are not.
func TestTransportAsksAgain(t *testing.T) {
	const lost, broken = -1, -2
	for _, tc := range []struct {
		name    string
		answers []int
		header  string
		kind    types.PatchType
		want    int
		asked   int
	}{
		{"fine", []int{200}, "", types.ApplyPatchType, 200, 1},
		{"a conflict that passes", []int{409, 200}, "", types.ApplyPatchType, 200, 2},
		{"a patch of one version of an object, which somebody else has written to", []int{409, 200}, "", types.JSONPatchType, 409, 1},
		{"such a patch, and a server between leaders", []int{500, 200}, "", types.JSONPatchType, 200, 2},
		{"a server between leaders", []int{500, 503, 504, 201}, "", types.ApplyPatchType, 201, 4},
		{"a conflict that stays", []int{409, 409, 409, 409, 409, 409}, "", types.ApplyPatchType, 409, 5},
		{"a refusal", []int{422, 200}, "", types.ApplyPatchType, 422, 1},
		{"something absent", []int{404, 200}, "", types.ApplyPatchType, 404, 1},
		{"left to the client library", []int{503, 200}, "1", types.ApplyPatchType, 503, 1},
		{"a connection that is lost", []int{lost, 200}, "", types.ApplyPatchType, 200, 2},
		{"an answer that breaks off", []int{broken, lost, 200}, "", types.ApplyPatchType, 200, 3},
		{"connections that are lost again and again", []int{lost, lost, lost, lost}, "", types.ApplyPatchType, 0, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			asked := 0
			next := funcTransport(func(req *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(req.Body)
				if err != nil || string(body) != "body" {
					t.Errorf("attempt %d was sent %q, %v", asked, body, err)
				}
				if tc.answers[asked] == lost {
					asked++
					return nil, errDead
				}
				resp := &http.Response{StatusCode: tc.answers[asked], Header: http.Header{}, Body: http.NoBody, Request: req}
				if tc.header != "" {
					resp.Header.Set("Retry-After", tc.header)
				}
				if tc.answers[asked] == broken {
					resp.StatusCode, resp.Body = http.StatusOK, io.NopCloser(iotest.ErrReader(errDead))
				}
				asked++
				return resp, nil
			})
			transport := &boundTransport{ctx: t.Context(), next: next, log: &requestLog{}}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "http://x/", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", string(tc.kind))
			resp, err := transport.RoundTrip(req)
			got := 0
			if err == nil {
				got = resp.StatusCode
				_ = resp.Body.Close()
			}
			if got != tc.want || asked != tc.asked {
				t.Errorf("got %d %v after %d attempts", got, err, asked)
			}
			if failed := transport.log.failure() != nil; failed != (tc.want == 0 || tc.want >= 400 && tc.want != 404) {
				t.Errorf("noted as failed: %v", failed)
			}
		})
	}
}

type funcTransport func(*http.Request) (*http.Response, error)

func (f funcTransport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// What would be created twice is not asked for again when nobody knows what became of it.
func TestTransportCreatesOnce(t *testing.T) {
	asked := 0
	transport := &boundTransport{ctx: t.Context(), log: &requestLog{}, next: funcTransport(func(*http.Request) (*http.Response, error) {
		asked++
		return nil, errDead
	})}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := transport.RoundTrip(req); err == nil || asked != 1 {
		t.Errorf("got %v after %d attempts", resp, asked)
	}
}
