package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// queryTimeout is how long an answer may take; resolvers wait longer, but then somebody has waited.
const queryTimeout = 2 * time.Second

// query is what is asked, and the address that has to be in the answer, if one is known.
type query struct {
	id   uint16
	name dnsmessage.Name
	want netip.Addr
}

// newQuery asks for the IPv4 address of a name. A * at its beginning stands for the address of a pod in the name of its record, another
// one for each number, so that no cache has it.
func newQuery(name string, number uint32) (query, error) {
	q := query{id: uint16(rand.N(1 << 16))}
	if rest, ok := strings.CutPrefix(name, "*"); ok {
		q.want = netip.AddrFrom4([4]byte{10, byte(number >> 16), byte(number >> 8), byte(number)})
		name = strings.ReplaceAll(q.want.String(), ".", "-") + rest
	}
	var err error
	q.name, err = dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	return q, err
}

func (q query) pack() ([]byte, error) {
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: q.name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	return message.Pack()
}

// answered checks an answer; others than that to this query are none.
func (q query) answered(packet []byte) error {
	var message dnsmessage.Message
	if err := message.Unpack(packet); err != nil {
		return err
	}
	if !message.Response || message.ID != q.id || len(message.Questions) != 1 ||
		!strings.EqualFold(message.Questions[0].Name.String(), q.name.String()) {
		return fmt.Errorf("%s: an answer to something else: %v", q.name, message.Questions)
	}
	if message.RCode != dnsmessage.RCodeSuccess {
		return fmt.Errorf("%s: %s", q.name, message.RCode)
	}
	for _, resource := range message.Answers {
		if a, ok := resource.Body.(*dnsmessage.AResource); ok && (!q.want.IsValid() || netip.AddrFrom4(a.A) == q.want) {
			return nil
		}
	}
	return fmt.Errorf("%s: no address, or not %s: %v", q.name, q.want, message.Answers)
}

// ask sends the query once, from a new port, as resolvers do.
func (q query) ask(server string) error {
	packet, err := q.pack()
	if err != nil {
		return err
	}
	connection, err := net.Dial("udp", server)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if _, err := connection.Write(packet); err != nil {
		return err
	}
	if err := connection.SetReadDeadline(time.Now().Add(queryTimeout)); err != nil {
		return err
	}
	buffer := make([]byte, 1500)
	n, err := connection.Read(buffer)
	if err != nil {
		return err
	}
	return q.answered(buffer[:n])
}

// streamDNS asks a server for a name, as in "10.96.0.10:53/web.default.svc.cluster.local". No query is repeated, and none waits for
// another.
func streamDNS(target string, interval time.Duration, ended <-chan struct{}) (*Loss, error) {
	server, name, found := strings.Cut(target, "/")
	if !found {
		return nil, fmt.Errorf("%q: a server, then / and a name", target)
	}
	var mu sync.Mutex
	var pending sync.WaitGroup
	loss, last := &Loss{}, time.Time{}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for number := rand.Uint32(); ; number++ {
		q, err := newQuery(name, number)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		sent := time.Now()
		loss.send(sent)
		mu.Unlock()
		pending.Go(func() {
			err := q.ask(server)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				loss.LastError = err.Error()
				return
			}
			loss.arrived(sent, time.Now())
			last = time.Now()
		})
		select {
		case <-ticker.C:
			continue
		case <-ended:
		}
		pending.Wait()
		if last.Before(sent) { // nothing has come since the last one was sent
			loss.gap(time.Now())
		}
		return loss, nil
	}
}
