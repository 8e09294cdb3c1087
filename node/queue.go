package node

import "sync"

// queue hands values from many goroutines to others, in order, without ever
// blocking a producer. It has no bound of its own: what is put into each is
// bounded where it is made, as its field says.
type queue[T any] struct {
	ready chan struct{} // holds one token while something waits, and at times one more

	mu    sync.Mutex
	items []T // guarded by mu
}

func newQueue[T any]() *queue[T] { return &queue[T]{ready: make(chan struct{}, 1)} }

// put appends items.
func (q *queue[T]) put(items ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, items...)
	q.ring()
}

// take removes and returns the first of what waits, at most so many. For the
// rest the token is there again.
func (q *queue[T]) take(most int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(most, len(q.items))
	taken := q.items[:n:n]
	if q.items = q.items[n:]; len(q.items) == 0 {
		q.items = nil
	}
	q.ring()
	return taken
}

// ring puts the token if something waits. The caller holds mu.
func (q *queue[T]) ring() {
	if len(q.items) == 0 {
		return
	}
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
