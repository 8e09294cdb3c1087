package main

import (
	"slices"
	"sync"
	"time"
)

// summary is the speed of some transactions, in the form of sage-bench.
type summary struct {
	Final     int           `json:"final"`
	PerSecond float64       `json:"per_second"`
	P50       time.Duration `json:"p50_ns"`
	P99       time.Duration `json:"p99_ns"`
	Max       time.Duration `json:"max_ns"`
}

// landing is a transaction that became final.
type landing struct {
	at   time.Time
	took time.Duration
}

// tower notes what is under way and what became final.
type tower struct {
	mu     sync.Mutex
	under  map[string]flight // guarded by mu
	landed []landing         // guarded by mu
}

type flight struct {
	since time.Time
	done  chan struct{} // closed when it is final
}

func newTower() *tower { return &tower{under: make(map[string]flight)} }

// take notes a transaction that is about to be submitted. What it returns is
// closed when that is final.
func (t *tower) take(id string) <-chan struct{} {
	f := flight{time.Now(), make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.under[id] = f
	return f.done
}

// final notes that a transaction is final; the first word counts.
func (t *tower) final(id string) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.under[id]
	if !ok {
		return
	}
	delete(t.under, id)
	close(f.done)
	t.landed = append(t.landed, landing{now, now.Sub(f.since)})
}

// note is final for a transaction whose time somebody else took.
func (t *tower) note(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.landed = append(t.landed, landing{time.Now(), took})
}

// between summarizes what became final from one instant to another.
func (t *tower) between(from, to time.Time) summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	var took []time.Duration
	for _, l := range t.landed {
		if !l.at.Before(from) && l.at.Before(to) {
			took = append(took, l.took)
		}
	}
	slices.Sort(took)
	return summary{
		Final: len(took), PerSecond: float64(len(took)) / to.Sub(from).Seconds(),
		P50: percentile(took, 50), P99: percentile(took, 99), Max: percentile(took, 100),
	}
}

func (t *tower) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.landed)
}

// percentile is the nearest rank, as in sage-bench.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max((len(sorted)*percent+99)/100, 1)-1]
}
