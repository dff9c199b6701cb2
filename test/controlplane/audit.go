package controlplane

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// AuditEvent is one request to the API server.
type AuditEvent struct {
	ID   string
	User string
	// UserAgent is what the client calls itself.
	UserAgent string
	Verb      string
	// URI is the path and query of the request; the only thing that identifies
	// requests that are not about resources.
	URI         string
	Group       string
	Resource    string
	Subresource string
	Namespace   string
	Name        string
	// Complete is false for a watch that is still open.
	Complete bool
	// Code is the HTTP status of the response.
	Code int
	// Time is when the request was received.
	Time time.Time
}

// auditLine is the part of audit.k8s.io/v1 Event that is used.
type auditLine struct {
	AuditID    string `json:"auditID"`
	Stage      string `json:"stage"`
	RequestURI string `json:"requestURI"`
	Verb       string `json:"verb"`
	UserAgent  string `json:"userAgent"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		APIGroup    string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	RequestReceivedTimestamp time.Time `json:"requestReceivedTimestamp"`
}

// Audit returns the requests so far, in the order in which they were answered.
// It needs [Options.AuditLog]. A request is in it when its client has the answer
// or very soon after.
func (c *ControlPlane) Audit(ctx context.Context) ([]AuditEvent, error) {
	if c.options.AuditLog == "" {
		return nil, errors.New("the control plane was started without an audit log")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(c.options.AuditLog)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return ParseAudit(f)
}

// ParseAudit reads an audit log in JSON lines. Events of one request become one
// [AuditEvent]. A last line that is still being written is left out.
func ParseAudit(log io.Reader) ([]AuditEvent, error) {
	var events []AuditEvent
	index := map[string]int{} // of requests by ID
	lines := bufio.NewReader(log)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		var l auditLine
		if err := json.Unmarshal(line, &l); err != nil {
			return events, fmt.Errorf("audit log, line %d: %w", n, err)
		}
		i, seen := index[l.AuditID]
		switch {
		case l.Stage != "ResponseStarted" && l.Stage != "ResponseComplete" && l.Stage != "Panic":
		case seen:
			events[i] = l.event()
		default:
			index[l.AuditID] = len(events)
			events = append(events, l.event())
		}
	}
}

func (l auditLine) event() AuditEvent {
	return AuditEvent{
		ID:          l.AuditID,
		User:        l.User.Username,
		UserAgent:   l.UserAgent,
		Verb:        l.Verb,
		URI:         l.RequestURI,
		Group:       l.ObjectRef.APIGroup,
		Resource:    l.ObjectRef.Resource,
		Subresource: l.ObjectRef.Subresource,
		Namespace:   l.ObjectRef.Namespace,
		Name:        l.ObjectRef.Name,
		Complete:    l.Stage != "ResponseStarted",
		Code:        l.ResponseStatus.Code,
		Time:        l.RequestReceivedTimestamp,
	}
}
