package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// Loss is what a stream measured.
type Loss struct {
	Sent     int `json:"sent"`
	Received int `json:"received"`
	// GapMillis is the longest time without an answer to what was sent in it.
	GapMillis float64 `json:"gapMillis"`
	// The median and the 99th percentile of the answers' time.
	P50Micros int64  `json:"p50Micros"`
	P99Micros int64  `json:"p99Micros"`
	LastError string `json:"lastError,omitempty"`

	times []int64
	// waiting is when the first was sent of those that nothing has come back since; zero when there are none.
	waiting time.Time
}

// stream asks a target again and again until its standard input ends, then tells what was lost. It says so when the first answer
// has come. With "udp" it sends packets, with "get" it opens a connection each time, with "dns" it asks a server for a name.
func stream(kind, target string, interval time.Duration) error {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	measure := streamUDP
	switch kind {
	case "udp":
	case "get":
		measure = streamGet
	case "dns":
		measure = streamDNS
	default:
		return fmt.Errorf("stream of %q: udp, get or dns", kind)
	}
	loss, err := measure(target, interval, ended)
	if err != nil {
		return err
	}
	loss.finish()
	return answer(loss)
}

// send counts what is sent now. A machine that is too busy to send for a while has lost nothing, so that a gap begins here.
func (l *Loss) send(now time.Time) {
	l.Sent++
	if l.waiting.IsZero() {
		l.waiting = now
	}
}

func (l *Loss) arrived(sent, now time.Time) {
	if l.Received++; l.Received == 1 {
		fmt.Fprintln(os.Stdout, "begun")
	}
	l.gap(now)
	l.waiting = time.Time{}
	l.times = append(l.times, now.Sub(sent).Microseconds())
}

func (l *Loss) gap(now time.Time) {
	if !l.waiting.IsZero() {
		l.GapMillis = max(l.GapMillis, float64(now.Sub(l.waiting).Microseconds())/1000)
	}
}

func (l *Loss) finish() {
	if len(l.times) == 0 {
		return
	}
	slices.Sort(l.times)
	l.P50Micros, l.P99Micros = l.times[len(l.times)/2], l.times[len(l.times)*99/100]
}

func streamUDP(target string, interval time.Duration, ended <-chan struct{}) (*Loss, error) {
	connection, err := net.Dial("udp", target)
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	var mu sync.Mutex
	loss := &Loss{}
	sent := map[uint64]time.Time{}
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, err := connection.Read(buffer)
			now := time.Now()
			mu.Lock()
			if err != nil && !errors.Is(err, net.ErrClosed) {
				loss.LastError = err.Error() // such as a refusal of an earlier packet
			} else if n == 8 {
				number := binary.BigEndian.Uint64(buffer)
				if at, ok := sent[number]; ok {
					delete(sent, number)
					loss.arrived(at, now)
				}
			}
			mu.Unlock()
			if errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	payload := make([]byte, 8)
	for number := uint64(0); ; number++ {
		binary.BigEndian.PutUint64(payload, number)
		mu.Lock()
		now := time.Now()
		sent[number] = now
		loss.send(now)
		mu.Unlock()
		if _, err := connection.Write(payload); err != nil {
			mu.Lock()
			loss.LastError = err.Error()
			mu.Unlock()
		}
		select {
		case <-ticker.C:
			continue
		case <-ended:
		}
		// What is still under way gets its time.
		<-time.After(time.Second)
		mu.Lock()
		if _, open := sent[number]; open { // not one that was lost long before
			loss.gap(time.Now())
		}
		result := *loss
		mu.Unlock()
		return &result, nil
	}
}

func streamGet(target string, interval time.Duration, ended <-chan struct{}) (*Loss, error) {
	loss := &Loss{}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		start := time.Now()
		loss.send(start)
		if _, err := get(target); err != nil {
			loss.LastError = err.Error()
		} else {
			loss.arrived(start, time.Now())
		}
		select {
		case <-ticker.C:
		case <-ended:
			return loss, nil
		}
	}
}
