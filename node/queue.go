package node

import "sync"

// queue hands values from many goroutines to one, in order, without ever
// blocking a producer. It has no bound of its own: it carries only answers to
// what its consumer asked for, and that is bounded (see replica, J7).
type queue[T any] struct {
	ready chan struct{} // holds one token when something waits

	mu    sync.Mutex
	items []T // guarded by mu
}

func newQueue[T any]() *queue[T] { return &queue[T]{ready: make(chan struct{}, 1)} }

// put appends an item.
func (q *queue[T]) put(items ...T) {
	q.mu.Lock()
	q.items = append(q.items, items...)
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take removes and returns all that waits.
func (q *queue[T]) take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}
