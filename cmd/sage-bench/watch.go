package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// flight is one transfer from the moment it was due until it is final.
type flight struct {
	due   time.Time
	final time.Time
	done  chan struct{} // closed when it is final
}

// tower knows every flight. What a validator calls final is noted when its
// event arrives, so a latency is that of a client that listens.
type tower struct {
	mu     sync.Mutex
	under  map[string]*flight // guarded by mu: not final, by transaction
	landed []flight           // guarded by mu: in the order in which they became final
	blocks []time.Time        // guarded by mu: arrivals of final blocks at the first validator that is watched
	lost   uint64             // guarded by mu: events that a validator no longer had when we came
}

func newTower() *tower { return &tower{under: make(map[string]*flight)} }

// take notes a transfer that is about to be submitted.
func (t *tower) take(id string, due time.Time) *flight {
	f := &flight{due: due, done: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.under[id] = f
	return f
}

// final notes that a transaction is final. It may be none of ours, or be final
// already by the word of another validator.
func (t *tower) final(id string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.under[id]
	if f == nil {
		return
	}
	delete(t.under, id)
	f.final = at
	t.landed = append(t.landed, *f)
	close(f.done)
}

// drain returns what is final since the last call, and forgets the rest.
func (t *tower) drain() log {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := log{landed: t.landed, blocks: t.blocks, unfinished: len(t.under), lost: t.lost}
	t.landed, t.blocks, t.lost = nil, nil, 0
	clear(t.under)
	return l
}

// log is what was seen of one phase.
type log struct {
	landed     []flight
	blocks     []time.Time
	unfinished int
	lost       uint64
}

// open returns how many transfers are under way.
func (t *tower) open() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.under)
}

// errStream reports an event stream that is none.
var errStream = errors.New("event stream")

// watch follows a validator's events until ctx ends or the validator does.
func (t *tower) watch(ctx context.Context, v *validator, countBlocks bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.api.URL()+"/api/v1/events", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ignoreEnd(ctx, v, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w of %s: HTTP status %s", errStream, v.name, resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	var last uint64
	for lines.Scan() {
		now := time.Now()
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(name) {
		case "id":
			number, _, _ := strings.Cut(string(value), "-") // a height may follow
			seq, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				return ignoreEnd(ctx, v, err)
			}
			t.missed(last, seq)
			last = seq
		case "data":
			if err := t.heard(value, now, countBlocks); err != nil {
				return ignoreEnd(ctx, v, err)
			}
		}
	}
	return ignoreEnd(ctx, v, lines.Err())
}

// ignoreEnd is err, unless we ended the stream or the validator ourselves. Such
// an end may come within a line.
func ignoreEnd(ctx context.Context, v *validator, err error) error {
	if err == nil || ctx.Err() != nil || v.lost.Load() {
		return nil
	}
	return fmt.Errorf("%w of %s: %w", errStream, v.name, err)
}

// missed counts the events between two that arrived: the stream is unfiltered,
// and a validator numbers its events without gaps.
func (t *tower) missed(last, seq uint64) {
	if last == 0 || seq <= last+1 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost += seq - last - 1
}

func (t *tower) heard(data []byte, at time.Time, countBlocks bool) error {
	var e struct {
		Kind    view.EventKind `json:"kind"`
		Subject string         `json:"subject"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	switch {
	case e.Kind == view.EventTransfer:
		t.final(e.Subject, at)
	case e.Kind == view.EventBlock && countBlocks:
		t.mu.Lock()
		defer t.mu.Unlock()
		t.blocks = append(t.blocks, at)
	}
	return nil
}
