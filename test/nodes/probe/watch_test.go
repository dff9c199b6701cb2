package main

import (
	"slices"
	"testing"
	"time"
)

func TestRuns(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	for name, c := range map[string]struct {
		open string
		want []Run
	}{
		"nothing":              {"", nil},
		"always the same":      {"....", []Run{{at(0), false, 4}}},
		"opened":               {"..xx", []Run{{at(0), false, 2}, {at(2), true, 2}}},
		"open for one attempt": {"..x.", []Run{{at(0), false, 2}, {at(2), true, 1}, {at(3), false, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			var attempts []Attempt
			for i, sign := range c.open {
				attempts = append(attempts, Attempt{At: at(i), Open: sign == 'x'})
			}
			if got := runs(attempts); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
