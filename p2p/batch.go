package p2p

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/multiformats/go-varint"
)

// Batcher gathers items into messages: an item that comes after a pause leaves at
// once, those that follow within 5 ms leave together, at most MaxBatchItems and
// MaxBatchBytes in one. Verifying a batch costs a quarter of verifying its items.
type Batcher struct {
	send func(batch []byte) error
	wake chan struct{} // holds one token when something waits

	mu      sync.Mutex
	waiting [][]byte // guarded by mu
	bytes   int      // guarded by mu
}

// maxWaiting is how many batches may wait for send.
const maxWaiting = 16

// NewBatcher makes a batcher that sends by the given function, one call at a
// time. Errors of send are its own to report: the batch is lost.
func NewBatcher(send func(batch []byte) error) *Batcher {
	return &Batcher{send: send, wake: make(chan struct{}, 1)}
}

// Add queues an item, which must not be changed afterwards. It never blocks.
//
// Errors: ErrTooLarge, ErrBusy when too much waits.
func (b *Batcher) Add(item []byte) error {
	size := varint.UvarintSize(uint64(len(item))) + len(item)
	if len(item) == 0 || size > MaxBatchBytes {
		return fmt.Errorf("%w: batch: have an item of %d bytes, want 1 to %d", ErrTooLarge, len(item), MaxBatchBytes)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == maxWaiting*MaxBatchItems || b.bytes+size > maxWaiting*MaxBatchBytes {
		return fmt.Errorf("%w: batch: %d items wait", ErrBusy, len(b.waiting))
	}
	b.waiting = append(b.waiting, item)
	b.bytes += size
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return nil
}

// take removes and encodes the next batch. It is nil when nothing waits.
func (b *Batcher) take() (batch []byte, full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for n < len(b.waiting) && n < MaxBatchItems {
		size := varint.UvarintSize(uint64(len(b.waiting[n]))) + len(b.waiting[n])
		if len(batch)+size > MaxBatchBytes {
			break
		}
		batch = appendFrame(batch, b.waiting[n])
		n++
	}
	b.bytes -= len(batch)
	b.waiting = append([][]byte(nil), b.waiting[n:]...)
	return batch, len(b.waiting) > 0
}

// Run sends until ctx ends. What waits then is lost.
func (b *Batcher) Run(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		}
		select { // until 5 ms have passed since the last batch
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		for more := true; more && ctx.Err() == nil; {
			var batch []byte
			if batch, more = b.take(); batch != nil {
				b.send(batch)
			}
		}
		pause.Reset(batchDelay)
	}
}

// SplitBatch returns the items of a batch, which share its memory. Its errors
// wrap ErrMalformed: no correct platform sends such a batch.
func SplitBatch(batch []byte) ([][]byte, error) {
	if len(batch) == 0 || len(batch) > MaxBatchBytes {
		return nil, fmt.Errorf("%w: batch: have %d bytes, want 1 to %d", ErrMalformed, len(batch), MaxBatchBytes)
	}
	var items [][]byte
	for rest := batch; len(rest) > 0; {
		size, n, err := varint.FromUvarint(rest)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: batch: item %d: %w", ErrMalformed, len(items), err)
		case size == 0 || size > uint64(len(rest)-n):
			return nil, fmt.Errorf("%w: batch: item %d: have %d bytes, want 1 to %d", ErrMalformed, len(items), size, len(rest)-n)
		case len(items) == MaxBatchItems:
			return nil, fmt.Errorf("%w: batch: have more than %d items", ErrMalformed, MaxBatchItems)
		}
		items = append(items, rest[n:n+int(size):n+int(size)])
		rest = rest[n+int(size):]
	}
	return items, nil
}
