package controlplane

import (
	"strings"
	"testing"
)

func TestParseAudit(t *testing.T) {
	const log = `{"stage":"ResponseComplete","auditID":"1","verb":"get","requestURI":"/api/v1/namespaces/a/configmaps/b","user":{"username":"alice"},"userAgent":"test","objectRef":{"resource":"configmaps","namespace":"a","name":"b","apiVersion":"v1"},"responseStatus":{"code":404},"requestReceivedTimestamp":"2026-01-02T03:04:05.000006Z"}
{"stage":"ResponseStarted","auditID":"2","verb":"watch","user":{"username":"bob"},"objectRef":{"apiGroup":"apps","resource":"deployments"},"responseStatus":{"code":200}}
{"stage":"ResponseStarted","auditID":"3","verb":"watch","user":{"username":"bob"},"responseStatus":{"code":200}}
{"stage":"RequestReceived","auditID":"4","verb":"get"}
{"stage":"ResponseComplete","auditID":"2","verb":"watch","user":{"username":"bob"},"objectRef":{"apiGroup":"apps","resource":"deployments"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","auditID":"5","ver`
	events, err := ParseAudit(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 3 {
		t.Fatalf("%d events, want 3: %+v", len(events), events)
	}
	first := events[0]
	if first.User != "alice" || first.Verb != "get" || first.Resource != "configmaps" || first.Namespace != "a" ||
		first.Name != "b" || first.Code != 404 || !first.Complete || first.Time.Nanosecond() != 6000 {
		t.Errorf("first event is %+v", first)
	}
	if e := events[1]; e.Group != "apps" || !e.Complete {
		t.Errorf("the ended watch is %+v", e)
	}
	if e := events[2]; e.ID != "3" || e.Complete {
		t.Errorf("the open watch is %+v", e)
	}
	if _, err := ParseAudit(strings.NewReader("no JSON\n")); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("error is %v", err)
	}
}
