package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Attempt is one packet, by when it was sent, and whether it was answered.
type Attempt struct {
	At   time.Time
	Open bool
}

// Run is of packets in a row that fared alike, by when the first was sent.
type Run struct {
	At   time.Time `json:"at"`
	Open bool      `json:"open"`
	Sent int       `json:"sent"`
}

// The ports that watch sends from. Another process of the pod gets its ports beyond them.
const firstPort, ports = 10000, 20000

// watch sends packets to a target until its standard input ends, and tells how they fared, those in a row that fared alike
// together. Each is the first of its flow, so that it is decided about anew: a port is not used again for so long that nobody remembers
// the flow (ports times the interval), and not by the next watch either, which begins where this one would have gone on.
func watch(target string, interval time.Duration) error {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	var mu sync.Mutex
	var attempts []Attempt
	var pending sync.WaitGroup
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	fmt.Fprintln(os.Stdout, "begun")
	begin := int(time.Now().UnixNano() / int64(interval) % ports)
	for going := true; going; {
		mu.Lock()
		number := len(attempts)
		attempts = append(attempts, Attempt{At: time.Now()})
		mu.Unlock()
		pending.Go(func() {
			err := echoFrom(firstPort+(begin+number)%ports, target)
			mu.Lock()
			defer mu.Unlock()
			attempts[number].Open = err == nil
		})
		select {
		case <-ticker.C:
		case <-ended:
			going = false
		}
	}
	pending.Wait()
	return answer(runs(attempts))
}

// echoFrom sends a packet from a port, and waits for its echo.
func echoFrom(port int, target string) error {
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{Port: port}}
	connection, err := dialer.Dial("udp", target)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	_, err = exchange(connection, []byte("hello"))
	return err
}

// runs puts attempts in a row that fared alike together.
func runs(attempts []Attempt) []Run {
	var found []Run
	for i, a := range attempts {
		if i == 0 || a.Open != attempts[i-1].Open {
			found = append(found, Run{At: a.At, Open: a.Open})
		}
		found[len(found)-1].Sent++
	}
	return found
}
