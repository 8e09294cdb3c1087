package p2p

import (
	"container/list"
	"context"
	"sync"
)

// group is the set of goroutines that Run waits for. Unlike an errgroup it can
// be asked for more while it is closing, and refuses.
type group struct {
	mu     sync.Mutex
	ctx    context.Context // guarded by mu: nil unless open
	active sync.WaitGroup
}

func (g *group) open(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx = ctx
}

// close ends the context and waits.
func (g *group) close(cancel context.CancelFunc) {
	g.mu.Lock()
	g.ctx = nil
	g.mu.Unlock()
	cancel()
	g.active.Wait()
}

func (g *group) enter() (context.Context, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx == nil {
		return nil, false
	}
	g.active.Add(1)
	return g.ctx, true
}

// do calls f on the caller's goroutine, counted. It reports false, and does not
// call f, when the group is closed.
func (g *group) do(f func(context.Context)) bool {
	ctx, ok := g.enter()
	if !ok {
		return false
	}
	defer g.active.Done()
	f(ctx)
	return true
}

// start calls f on a new goroutine, unless the group is closed.
func (g *group) start(f func(context.Context)) {
	if ctx, ok := g.enter(); ok {
		go func() {
			defer g.active.Done()
			f(ctx)
		}()
	}
}

// recent is a map of bounded size: the entry not put or got for the longest time
// makes room. The caller locks.
type recent[K comparable, V any] struct {
	limit int
	index map[K]*list.Element
	order *list.List // of pair[K, V], the least recent first
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](limit int) recent[K, V] {
	return recent[K, V]{limit: limit, index: map[K]*list.Element{}, order: list.New()}
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	e, ok := r.index[k]
	if !ok {
		return v, false
	}
	r.order.MoveToBack(e)
	return e.Value.(pair[K, V]).value, true
}

// peek is get without counting as a use.
func (r *recent[K, V]) peek(k K) (v V, ok bool) {
	e, ok := r.index[k]
	if !ok {
		return v, false
	}
	return e.Value.(pair[K, V]).value, true
}

func (r *recent[K, V]) put(k K, v V) {
	if e, ok := r.index[k]; ok {
		e.Value = pair[K, V]{k, v}
		r.order.MoveToBack(e)
		return
	}
	if len(r.index) == r.limit {
		oldest := r.order.Remove(r.order.Front()).(pair[K, V])
		delete(r.index, oldest.key)
	}
	r.index[k] = r.order.PushBack(pair[K, V]{k, v})
}

// each calls f for all entries, the most recent first.
func (r *recent[K, V]) each(f func(K, V)) {
	for e := r.order.Back(); e != nil; e = e.Prev() {
		p := e.Value.(pair[K, V])
		f(p.key, p.value)
	}
}
