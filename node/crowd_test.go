package node_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	coin "github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// liar starts an enemy that tells everybody it meets of a chain that is far ahead,
// and answers no question about it, but any about where platforms listen.
func liar(t *testing.T, genesis p2p.Genesis, all []peer.AddrInfo) *enemy {
	t.Helper()
	claim := append([]byte{1}, bft.Encode(&bft.Status{Height: 1 << 40, FinalHeight: 1<<40 - 1, FinalID: someBlock()})...)
	e := &enemy{}
	e.meet = func(id peer.ID) { e.Send(id, 1, claim) }
	e.run(t, genesis, all, p2p.WithFetch(func(ctx context.Context, _ peer.ID, raw []byte) ([]byte, error) {
		if q, err := wire.DecodeQuestion(raw); err == nil && q.Peers {
			return coin.Encode(rumours(all))
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}), p2p.WithFrames(func(peer.ID, []byte) p2p.Verdict { return p2p.Accept }),
		p2p.WithTasks(func(ctx context.Context, _ peer.ID, _ *p2p.FrameConn) { <-ctx.Done() }))
	return e
}

// rumours are addresses at which no validator is, other ones each time.
func rumours(all []peer.AddrInfo) *wire.Reply {
	r := &wire.Reply{}
	for _, p := range all {
		c := wire.Contact{ID: bft.ID{ID: p.ID}}
		for range 16 {
			b := garbage(2)
			c.Addrs = append(c.Addrs, fmt.Sprintf("/ip4/127.0.%d.%d/tcp/9", b[0], b[1]))
		}
		r.Peers = append(r.Peers, c)
	}
	return r
}

// pester asks a platform for everything, and leaves task streams open, until ctx
// ends.
func (e *enemy) pester(ctx context.Context, to peer.ID) {
	all, err := coin.Encode(&wire.Question{From: 1, To: 1 << 30})
	if err != nil {
		return
	}
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			for ctx.Err() == nil {
				e.Request(ctx, to, all, p2p.MaxResponse)
				if s, err := e.OpenTask(ctx, to); err == nil {
					defer s.Reset()
				}
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond): // the enemy shares our processors
				}
			}
			return nil
		})
	}
	g.Wait()
}

// Strangers lie about the chain, tell where nobody is; half of them ask
// for all of it and hold streams open. Validators go on, one that was off catches up, and so does
// a newcomer.
func TestACrowdOfStrangersHarmsNobodyButItself(t *testing.T) {
	crowd := 8
	if raceDetector() {
		crowd = 3 // each is as costly as ten
	}
	all := federation(t, 4)
	payee := all[2].id(t)
	all[1].pays(t, payee, 1)
	agree(t, all...)
	where := infos(t, all)
	all[3].end(t)
	all[1].pays(t, payee, beyond)
	before, routines := heap(), runtime.NumGoroutine()

	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	for i := range crowd {
		e := liar(t, all[0].Host().Genesis(), where) // it dials the one that is off, too
		for _, p := range all[:3] {
			to := p.Host().ID()
			p.wait(t, "connected with the enemy", func(view.Status) bool { return e.met(to) })
			if i%2 == 0 { // they share our processors
				g.Go(func() error { e.pester(ctx, to); return nil })
			}
		}
	}
	all[1].pays(t, payee, 2)
	all[3] = all[3].again(t)
	first := all[0].wait(t, "listening", listening).Listen
	newcomer := up(t, "newcomer", func(c *node.Config) { c.Bootstrap, c.Observer = first, true })
	agree(t, append(all, newcomer)...)
	all[1].pays(t, payee, 2)
	agree(t, append(all, newcomer)...)
	for _, p := range all {
		if s := p.wait(t, "sure of its chain", func(s view.Status) bool { return !s.Syncing }); s.Height > 1000 {
			t.Errorf("%s is at height %d", p.cfg.Name, s.Height)
		}
		if dials := p.Host().Counters().Dials; dials > 200 {
			t.Errorf("%s dialled %d times", p.cfg.Name, dials)
		}
	}
	stop()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("heap from %d to %d MiB, goroutines from %d to %d, of %d platforms and %d enemies", before>>20, heap()>>20, routines, runtime.NumGoroutine(), len(all)+1, crowd)
	if after := heap(); after > before+256<<20 {
		t.Errorf("the heap grew from %d to %d MiB", before>>20, after>>20)
	}
}

func (e *enemy) met(id peer.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.up[id]
}

// Each arrival of a stranger is a reason to ask the stranger, and nobody else.
func TestComingsAndGoingsOfAStrangerHaveNobodyElseAsked(t *testing.T) {
	const arrivals, round = 15, 15 * time.Second
	all := federation(t, 4)
	agree(t, all...)
	began, before := time.Now(), all[0].Host().Counters().FetchesMade
	for range arrivals {
		t.Run("arrival", func(t *testing.T) { against(t, all) })
	}
	most := arrivals + 5*(1+int(time.Since(began)/round))
	if made := int(all[0].Host().Counters().FetchesMade - before); made > most {
		t.Errorf("%d questions were asked, want at most %d", made, most)
	}
}
