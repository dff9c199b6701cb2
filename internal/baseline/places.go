package baseline

// where is how far one namespace has come, or what has none.
type where struct {
	// covered says that something is wanted there, allowed that all that allows is there, complete that everything is, and settled
	// that nothing else is either.
	covered, allowed, complete, settled bool
}

// places is how far all of them have come. A place that is not in it is not covered, or not known yet.
type places struct {
	// turn counts how often all was begun anew.
	turn int
	all  map[item]where
	// covered, open and closed are how many namespaces are covered, not settled, and without all that allows.
	covered, open, closed int
	// problems are those that fail, with why.
	problems map[item]string
}

func newPlaces() *places { return &places{all: map[item]where{}, problems: map[item]string{}} }

// renew begins anew: of these it is known that something is wanted there, and of none that it is there.
func (p *places) renew(covered map[item]bool) {
	*p = places{turn: p.turn + 1, all: make(map[item]where, len(covered)), problems: map[item]string{}}
	for i := range covered {
		p.put(i, where{covered: true}, "")
	}
}

func (p *places) of(i item) where { return p.all[i] }

func (p *places) put(i item, now where, problem string) {
	p.count(i, p.all[i], -1)
	p.all[i] = now
	p.count(i, now, 1)
	delete(p.problems, i)
	if problem != "" {
		p.problems[i] = problem
	}
}

func (p *places) drop(i item) {
	p.count(i, p.all[i], -1)
	delete(p.all, i)
	delete(p.problems, i)
}

func (p *places) count(i item, at where, n int) {
	if i == clusterItem || !at.covered {
		return
	}
	p.covered += n
	if !at.settled {
		p.open += n
	}
	if !at.allowed {
		p.closed += n
	}
}

// counts are how many namespaces are covered, and how many of them are not settled.
func (p *places) counts() (covered, open int) { return p.covered, p.open }

// allowed says whether all that allows is in every namespace, and settled whether everything is.
func (p *places) allowed() bool { return p.closed == 0 }
func (p *places) settled() bool { return p.open == 0 }

// waiting are the namespaces that are not settled and fail in nothing.
func (p *places) waiting() []item {
	var out []item
	for i, at := range p.all {
		if i != clusterItem && !at.settled && p.problems[i] == "" {
			out = append(out, i)
		}
	}
	return out
}

// problem is one of those there are, always the same one; empty when there is none.
func (p *places) problem() string {
	least, found := item(""), false
	for i := range p.problems {
		if !found || i < least {
			least, found = i, true
		}
	}
	return p.problems[least]
}
