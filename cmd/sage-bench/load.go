package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// entryConns is how many submissions are at one validator at once: fewer than
// its API takes (api.limits), so that what is measured is no refusal.
const entryConns = 96

// retryAfter is the pause after a validator had no room.
const retryAfter = 2 * time.Millisecond

// entrance is a validator that takes transfers.
type entrance struct {
	*validator
	http *http.Client
}

func newEntrance(v *validator) *entrance {
	return &entrance{v, &http.Client{Transport: &http.Transport{MaxConnsPerHost: entryConns, MaxIdleConnsPerHost: entryConns}}}
}

// submit hands a transfer to the validator's API.
func (e *entrance) submit(ctx context.Context, t transfer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.api.URL()+"/api/v1/txs", bytes.NewReader(t.raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/vnd.ipld.dag-cbor")
	req.Header.Set("Authorization", "Bearer "+e.token)
	resp, err := e.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode < 300 {
		_, err := io.Copy(io.Discard, resp.Body) // so that the connection is used again
		return err
	}
	var f view.Failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&f); err != nil || f.Error == nil {
		return fmt.Errorf("%s: HTTP status %s", e.name, resp.Status)
	}
	return f.Error
}

// load is transfers being sent.
type load struct {
	tower     *tower
	entrances []*entrance
	accounts  []*account
	rate      float64 // transfers a second of all; 0: each account awaits the end of its last

	sent     atomic.Int64
	refusals atomic.Int64 // for want of room; each is tried again
	starved  atomic.Bool  // an account had no signed transfer left
}

// run sends until d is over, and then waits a little for what is under way.
func (l *load) run(ctx context.Context, d span) error {
	began := time.Now()
	until, cancel := context.WithDeadline(ctx, began.Add(d))
	defer cancel()
	g, sending := errgroup.WithContext(ctx)
	for i, a := range l.accounts {
		g.Go(func() error { return l.send(sending, until, a, i, began) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return l.settle(ctx)
}

// settle waits until nothing is under way, or nothing moves any more.
func (l *load) settle(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for l.tower.open() > 0 {
		if pause(patience, glance) != nil {
			break
		}
	}
	return ctx.Err()
}

// send sends one account's transfers until the time is over.
func (l *load) send(ctx, until context.Context, a *account, i int, began time.Time) error {
	at := l.entrances[i%len(l.entrances)]
	for k := 0; ; k++ {
		due := time.Now()
		if l.rate > 0 {
			due = began.Add(time.Duration(float64(k*len(l.accounts)+i) / l.rate * float64(time.Second)))
			if pause(until, time.Until(due)) != nil {
				return nil
			}
		}
		if until.Err() != nil {
			return nil
		}
		if len(a.signed) == 0 {
			l.starved.Store(true)
			return nil
		}
		f := l.tower.take(a.signed[0].id, due)
		if err := l.insist(ctx, at, a.signed[0]); err != nil {
			return err
		}
		a.signed = a.signed[1:]
		l.sent.Add(1)
		if l.rate > 0 {
			continue
		}
		select {
		case <-f.done:
		case <-until.Done(): // settle waits for the last ones
			return nil
		}
	}
}

// insist submits until the validator has room. A transfer that was begun is
// brought to its end, or the account's later ones would wait behind a gap.
func (l *load) insist(ctx context.Context, at *entrance, t transfer) error {
	for {
		err := at.submit(ctx, t)
		var no *view.Error
		if !errors.As(err, &no) || !no.Retryable {
			return err
		}
		l.refusals.Add(1)
		if err := pause(ctx, retryAfter); err != nil {
			return err
		}
	}
}
