package node_test

import (
	"context"
	"crypto/rand"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// enemy is a host of the right network and genesis that sends what it likes.
type enemy struct {
	*p2p.Host
	mu    sync.Mutex
	up    map[peer.ID]bool    // guarded by mu
	heads map[bft.Height]bool // guarded by mu: that it was told of
	meet  func(peer.ID)       // called for each that comes up
}

// against starts an enemy that is connected with all.
func against(t *testing.T, all []*platform) *enemy {
	t.Helper()
	e := &enemy{}
	e.run(t, all[0].Host().Genesis(), infos(t, all))
	all[0].wait(t, "connected with the enemy", func(view.Status) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.up) == len(all) && len(e.TopicPeers("txs")) == len(all) && len(e.TopicPeers("heads")) == len(all)
	})
	return e
}

// infos are where platforms listen.
func infos(t *testing.T, all []*platform) (list []peer.AddrInfo) {
	t.Helper()
	for _, p := range all {
		for _, a := range p.wait(t, "listening", listening).Listen {
			info, err := peer.AddrInfoFromString(a)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, *info)
		}
	}
	return list
}

// run starts an enemy of a federation that keeps dialling its platforms.
func (e *enemy) run(t *testing.T, genesis p2p.Genesis, bootstrap []peer.AddrInfo, opts ...p2p.Option) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e.up, e.heads = map[peer.ID]bool{}, map[bft.Height]bool{}
	e.Host, err = p2p.New(p2p.Config{
		Key: key, Listen: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/0")}, Network: "test",
		Genesis: genesis, Name: "enemy", Agent: "enemy", Bootstrap: bootstrap, Limits: p2p.EdgeLimits(),
	}, append([]p2p.Option{
		p2p.WithEvents(e.event),
		p2p.WithTopic("txs", func(peer.ID, []byte) p2p.Verdict { return p2p.Accept }),
		p2p.WithTopic("heads", e.head),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return e.Run(ctx) })
	t.Cleanup(func() {
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func (e *enemy) event(n p2p.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch n := n.(type) {
	case p2p.PeerUp:
		e.up[n.ID] = true
		if e.meet != nil {
			e.meet(n.ID)
		}
	case p2p.PeerDown:
		delete(e.up, n.ID)
	}
}

func (e *enemy) head(_ peer.ID, raw []byte) p2p.Verdict {
	m, err := bft.Decode(raw)
	if err != nil {
		return p2p.Reject
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heads[m.Position().Height] = true
	return p2p.Accept
}

func (e *enemy) toldOf(h view.Height) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heads[bft.Height(h)]
}

// blamedBy reports whether p holds something against the enemy.
func (e *enemy) blamedBy(p *platform) bool {
	for _, o := range p.Host().Offenders() {
		if o.ID == e.ID() {
			return true
		}
	}
	return false
}

// garbage is bytes that mean nothing.
func garbage(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// lies are messages in good form whose signatures do not hold, or that speak of
// what is far away.
func lies() [][]byte {
	var frames [][]byte
	for _, m := range []bft.Message{
		&bft.Vote{Kind: bft.KindPrepare, Height: 1 << 62, Block: someBlock()},
		&bft.Vote{Kind: bft.KindCommit, Height: 2, Block: someBlock()},
		&bft.Status{Height: 1 << 62, FinalHeight: 1<<62 - 1, FinalID: someBlock()},
	} {
		frames = append(frames, append([]byte{1}, bft.Encode(m)...))
	}
	return frames
}

func someBlock() cid.Cid {
	c, err := cid.Decode("bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
	if err != nil {
		panic(err)
	}
	return c
}

func TestAHostilePeerHarmsNobodyButItself(t *testing.T) {
	all := federation(t, 4)
	payee := all[2].id(t)
	all[1].pays(t, payee, 1)
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, e *enemy, to peer.ID)
	}{
		{"garbage on the consensus stream", func(t *testing.T, e *enemy, to peer.ID) {
			for i := range 20 {
				e.Send(to, p2p.Slot(i), garbage(1<<i%100_000+1))
			}
		}},
		{"a bundle of garbage", func(t *testing.T, e *enemy, to peer.ID) {
			for i := range 20 {
				e.Send(to, p2p.Slot(i), append([]byte{2}, garbage(1000)...))
			}
		}},
		{"frames of a kind that is none", func(t *testing.T, e *enemy, to peer.ID) {
			for i := range 20 {
				e.Send(to, p2p.Slot(i), []byte{byte(100 + i)})
			}
		}},
		{"questions that are none", func(t *testing.T, e *enemy, to peer.ID) {
			for range 20 {
				e.Request(t.Context(), to, garbage(5000), p2p.MaxResponse)
			}
		}},
		{"requests for content that are none", func(t *testing.T, e *enemy, to peer.ID) {
			for range 20 {
				if s, err := e.OpenTask(t.Context(), to); err == nil {
					s.WriteFrame(garbage(100))
					s.ReadFrame(1000)
					s.Reset()
				}
			}
		}},
		{"gossip of garbage", func(t *testing.T, e *enemy, to peer.ID) {
			for range 20 {
				e.Publish("txs", garbage(1000))
				e.Publish("heads", garbage(1000))
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := against(t, all)
			for _, p := range all {
				tt.do(t, e, p.id(t))
			}
			for _, p := range all {
				p.wait(t, "aware of the enemy's offence", func(view.Status) bool { return e.blamedBy(p) })
			}
			all[1].pays(t, payee, 1)
			agree(t, all...)
		})
	}
	t.Run("heights that are none", func(t *testing.T) {
		e := against(t, all)
		for i, f := range lies() {
			for _, p := range all {
				if err := e.Send(p.id(t), p2p.Slot(i), f); err != nil {
					t.Fatal(err)
				}
			}
		}
		all[1].pays(t, payee, 3)
		agree(t, all...)
	})
}

// Who has no vote is sent none, and hears of a block by its certificate.
func TestHeadsAreToldToThoseWithoutAVote(t *testing.T) {
	all := federation(t, 4)
	e := against(t, all)
	for range 5 { // each has another proposer
		all[1].pays(t, all[2].id(t), 1)
		s := agree(t, all...)
		all[1].wait(t, "heard of", func(view.Status) bool { return e.toldOf(s.Height) })
	}
}

// A certificate that does not hold is passed on by nobody, and its sender blamed.
func TestAFalseHeadIsHeldAgainstItsSender(t *testing.T) {
	all := federation(t, 4)
	all[1].pays(t, all[2].id(t), 1)
	s := agree(t, all...)
	e := against(t, all)
	forged := &bft.CommitCert{Height: bft.Height(s.Height) + 1, Block: someBlock(), Signers: bft.Bitmap{0x07}, Signatures: make([]bft.Signature, 3)}
	if err := e.Publish("heads", bft.Encode(forged)); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.wait(t, "aware of the false head", func(view.Status) bool { return e.blamedBy(p) && p.Host().Counters().GossipRejected > 0 })
	}
	all[1].pays(t, all[2].id(t), 1)
	agree(t, all...)
}

// A flood from one peer takes bounded memory, and the others go on.
func TestAFloodTakesBoundedMemory(t *testing.T) {
	all := federation(t, 4)
	payee := all[2].id(t)
	all[1].pays(t, payee, 1)
	e := against(t, all)
	before := heap()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	var g errgroup.Group
	g.Go(func() error {
		frames := lies()
		for i := 0; ctx.Err() == nil; i++ {
			for _, p := range all {
				e.Send(p.id(t), p2p.Slot(i%60), frames[i%len(frames)])
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond) // the enemy shares our processors
			}
		}
		return nil
	})
	all[1].pays(t, payee, 3)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	agree(t, all...)
	if after := heap(); after > before+64<<20 {
		t.Errorf("the heap grew from %d to %d MiB", before>>20, after>>20)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
