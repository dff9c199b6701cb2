package main

import (
	"testing"
	"time"
)

// A gap is how long nothing came back of what was sent, not how long nothing was sent.
func TestGap(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(1_000_000 + ms) }
	for name, c := range map[string]struct {
		do   func(l *Loss)
		want float64
	}{
		"answered": {func(l *Loss) {
			l.send(at(0))
			l.arrived(at(0), at(2))
		}, 2},
		"the sender rests": {func(l *Loss) {
			l.send(at(0))
			l.arrived(at(0), at(2))
			l.send(at(5000))
			l.arrived(at(5000), at(5003))
		}, 3},
		"three are lost": {func(l *Loss) {
			for ms := int64(0); ms <= 30; ms += 10 {
				l.send(at(ms))
			}
			l.arrived(at(30), at(31))
		}, 31},
		"lost at the end": {func(l *Loss) {
			l.send(at(0))
			l.arrived(at(0), at(1))
			l.send(at(10))
			l.gap(at(1010))
		}, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			l := &Loss{}
			if c.do(l); l.GapMillis != c.want {
				t.Errorf("%v ms, not %v", l.GapMillis, c.want)
			}
		})
	}
}
