package p2p

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/multiformats/go-varint"
)

// sent records batches with the time at which they left.
type sent struct {
	sync.Mutex
	at    []time.Duration
	items [][][]byte
}

func (s *sent) batcher(t *testing.T) *Batcher {
	start := time.Now()
	return NewBatcher(func(b []byte) error {
		items, err := SplitBatch(b)
		if err != nil {
			t.Error(err)
		}
		s.Lock()
		defer s.Unlock()
		s.at = append(s.at, time.Since(start))
		s.items = append(s.items, items)
		return nil
	})
}

func TestABatchLeavesAtOnceAfterAPauseAndWithin5msOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sent
		b := s.batcher(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go b.Run(ctx)
		add := func(n int) {
			for i := range n {
				if err := b.Add(name(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		add(1)
		look := func() ([]time.Duration, [][][]byte) {
			synctest.Wait()
			s.Lock()
			defer s.Unlock()
			return s.at, s.items
		}
		if at, items := look(); len(items) != 1 || at[0] != 0 {
			t.Fatalf("the lone item left at %v", at)
		}
		time.Sleep(time.Millisecond)
		add(10)
		if _, items := look(); len(items) != 1 {
			t.Fatal("the second batch did not wait for company")
		}
		time.Sleep(batchDelay)
		if at, items := look(); len(items) != 2 || len(items[1]) != 10 || at[1] != batchDelay {
			t.Fatalf("left: %v", at)
		}
	})
}

func TestABatchIsNeverOverItsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sent
		b := s.batcher(t)
		for i := range MaxBatchItems + 1 {
			if err := b.Add(name(i)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := b.Add(make([]byte, MaxBatchBytes*2/3)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go b.Run(ctx)
		synctest.Wait()
		s.Lock()
		defer s.Unlock()
		var got []int
		for _, items := range s.items {
			got = append(got, len(items))
		}
		if diff := cmp.Diff([]int{MaxBatchItems, 2, 1}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAFullBatcherRefuses(t *testing.T) {
	b := NewBatcher(func([]byte) error { return nil })
	for i := range maxWaiting * MaxBatchItems {
		if err := b.Add([]byte("x")); err != nil {
			t.Fatalf("item %d: %v", i, err)
		}
	}
	if err := b.Add([]byte("x")); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v, want ErrBusy", err)
	}
	large := NewBatcher(func([]byte) error { return nil })
	for _, n := range []int{0, MaxBatchBytes} {
		if err := large.Add(make([]byte, n)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("an item of %d bytes: %v, want ErrTooLarge", n, err)
		}
	}
	item := make([]byte, MaxBatchBytes-varint.UvarintSize(MaxBatchBytes))
	for range maxWaiting {
		if err := large.Add(item); err != nil {
			t.Fatal(err)
		}
	}
	if err := large.Add(item); !errors.Is(err, ErrBusy) {
		t.Errorf("one large item more: %v, want ErrBusy", err)
	}
}

func TestSplitBatchIsStrict(t *testing.T) {
	many := bytes.Repeat([]byte{1, 'x'}, MaxBatchItems+1)
	for name, in := range map[string][]byte{
		"nothing": nil, "too large": make([]byte, MaxBatchBytes+1), "an empty item": {0},
		"a length too long": {3, 'a', 'b'}, "a length cut": {0x80}, "a length in two bytes": {0x81, 0, 'a'},
		"too many items": many,
	} {
		if items, err := SplitBatch(in); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: have %d items, %v", name, len(items), err)
		}
	}
	if items, err := SplitBatch(many[2:]); err != nil || len(items) != MaxBatchItems {
		t.Errorf("a full batch: have %d items, %v", len(items), err)
	}
}

func FuzzSplitBatch(f *testing.F) {
	f.Add([]byte{1, 'a', 2, 'b', 'c'})
	f.Add([]byte{0x81, 0, 'a'})
	f.Fuzz(func(t *testing.T, in []byte) {
		items, err := SplitBatch(in)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %v does not blame the sender", err)
			}
			return
		}
		var out []byte
		for _, i := range items {
			out = appendFrame(out, i)
		}
		if !bytes.Equal(in, out) {
			t.Fatalf("encodes as %x, want %x", out, in)
		}
	})
}
