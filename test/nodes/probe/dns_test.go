package main

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers queries on loopback as the function says, and not at all where it says nothing.
func nameServer(t *testing.T, answer func(number int64, message *dnsmessage.Message) bool) string {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	var queries atomic.Int64
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if message.Unpack(buffer[:n]) != nil || !answer(queries.Add(1), &message) {
				continue
			}
			message.Response = true
			if packet, err := message.Pack(); err == nil {
				_, _ = server.WriteTo(packet, from)
			}
		}
	}()
	return server.LocalAddr().String()
}

// address answers a query with one.
func address(message *dnsmessage.Message, a [4]byte) {
	message.Answers = []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: message.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 5},
		Body:   &dnsmessage.AResource{A: a},
	}}
}

func TestAsk(t *testing.T) {
	for name, c := range map[string]struct {
		asked  string
		answer func(*dnsmessage.Message)
		right  bool
	}{
		"an address":             {"web.default.svc", func(m *dnsmessage.Message) { address(m, [4]byte{10, 96, 1, 2}) }, true},
		"of the pod in the name": {"*.default.pod", func(m *dnsmessage.Message) { address(m, [4]byte{10, 1, 2, 3}) }, true},
		"of another pod":         {"*.default.pod", func(m *dnsmessage.Message) { address(m, [4]byte{10, 1, 2, 4}) }, false},
		"no address":             {"web.default.svc", func(*dnsmessage.Message) {}, false},
		"a failure":              {"web.default.svc", func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure }, false},
		"to another query": {"web.default.svc", func(m *dnsmessage.Message) {
			address(m, [4]byte{10, 96, 1, 2})
			m.ID++
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := nameServer(t, func(_ int64, message *dnsmessage.Message) bool {
				c.answer(message)
				return true
			})
			q, err := newQuery(c.asked, 1<<16|2<<8|3)
			if err != nil {
				t.Fatal(err)
			}
			if err := q.ask(server); (err == nil) != c.right {
				t.Errorf("%s: %v", q.name, err)
			}
		})
	}
}

// TestStreamDNS loses every second query.
func TestStreamDNS(t *testing.T) {
	enough, ended := make(chan struct{}), make(chan struct{})
	server := nameServer(t, func(number int64, message *dnsmessage.Message) bool {
		if number == 20 {
			close(enough)
		}
		address(message, [4]byte{10, 96, 1, 2})
		return number%2 == 1
	})
	go func() {
		<-enough
		close(ended)
	}()
	loss, err := streamDNS(server+"/web", time.Millisecond, ended)
	if err != nil || loss.Sent < 20 || loss.Received < loss.Sent/2 || loss.Received > loss.Sent/2+1 || loss.LastError == "" {
		t.Errorf("%+v, %v", loss, err)
	}
}
