package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// effects is everything that a loop acts on. It remembers what was done, in
// order, and fails where a test says.
type effects struct {
	actor
	fail map[string]error
	wait map[string]string // what is not done before something else is

	mu   sync.Mutex
	done []string      // guarded by mu
	more chan struct{} // guarded by mu: closed when done grows
}

func (e *effects) note(what string) error {
	for first, until := e.wait[what], e.grown(); first != "" && !e.did(first); until = e.grown() {
		<-until
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = append(e.done, what)
	close(e.more)
	e.more = make(chan struct{})
	return e.fail[what]
}

func (e *effects) grown() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.more
}

func (e *effects) did(what string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.done, what)
}

func (e *effects) Sign(list ...bft.Unsigned) ([]bft.Signature, error) {
	if err := e.note("sign"); err != nil {
		return nil, err
	}
	var all []bft.Signature
	for _, u := range list {
		all = append(all, e.Key.Sign(u.SignedBytes(bft.GenesisHash{})))
	}
	return all, nil
}

func (e *effects) Silence(string) error               { return e.note("silence") }
func (e *effects) Return(bft.Height) error            { return e.note("return") }
func (e *effects) Settle() error                      { return e.note("settle") }
func (e *effects) PutLocal(...chain.VerifiedTx) error { return e.note("local") }
func (e *effects) PutBody(...chain.Block) error       { return e.note("body") }
func (e *effects) Commit(store.Final) error           { return e.note("commit") }
func (e *effects) send(replica.Envelope)              { e.note("send") }
func (e *effects) verify(replica.Job)                 { e.note("verify") }
func (e *effects) fetch(replica.Fetch)                { e.note("fetch") }
func (e *effects) answer(replica.Answer)              { e.note("answer") }
func (e *effects) gossip(replica.Gossip)              { e.note("gossip") }

func newEffectLoop() (*loop, *effects) {
	e := &effects{actor: newActor("0"), fail: map[string]error{}, wait: map[string]string{}, more: make(chan struct{})}
	return &loop{
		signer: e, store: e, net: e, timers: newTimers(), quiet: newStopped(),
		publish: func(replica.Publish) { e.note("publish") },
	}, e
}

// everything is an output that asks for one of each.
func everything() replica.Output {
	vote := bft.Unsigned{Statement: bft.Statement{Kind: bft.KindPrepare, Height: 2, Block: someDagCID("block"), HighView: bft.NoView}}
	final := &replica.Final{Cert: bft.CommitCert{Height: 1}}
	return replica.Output{
		Persist: replica.Persist{Local: make([]chain.VerifiedTx, 1), Bodies: make([]chain.Block, 1), Final: final, Mute: "why", Return: 1},
		Sign:    []bft.Unsigned{vote},
		Send:    make([]replica.Envelope, 2), Verify: make([]replica.Job, 1),
		Timers: []replica.Timer{{Kind: replica.TimerView, Height: 2}},
		Fetch:  make([]replica.Fetch, 1), Answers: make([]replica.Answer, 1), Gossip: make([]replica.Gossip, 1),
		Publish: replica.Publish{Final: final},
	}
}

func someDagCID(name string) cid.Cid { return cid.NewCidV1(cid.DagCBOR, someCID(name).Hash()) }

// The body of what is voted for and the record of the vote are written side by
// side; both are on the disk before the rest, in whatever order.
func TestTheLoopCarriesOutAnOutputInItsOrder(t *testing.T) {
	for _, middle := range [][]string{{"sign", "local", "body"}, {"local", "sign", "body"}, {"local", "body", "sign"}} {
		l, e := newEffectLoop()
		for i, what := range middle[1:] {
			e.wait[what] = middle[i]
		}
		next, err := l.execute(everything())
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Concat([]string{"gossip", "verify", "silence", "return", "commit"}, middle, []string{"send", "send", "fetch", "answer", "publish"})
		if !slices.Equal(e.done, want) {
			t.Errorf("done: %v, want %v", e.done, want)
		}
		signed, ok := next.(replica.Signed)
		if !ok || len(signed.Messages) != 1 {
			t.Fatalf("next input: %T, want the one that was signed", next)
		}
		if got := signed.Messages[0].Message().Position().Height; got != 2 {
			t.Errorf("signed at height %d, want 2", got)
		}
		if len(l.timers.armed) != 1 {
			t.Errorf("%d timers are armed, want 1", len(l.timers.armed))
		}
	}
}

func TestNothingIsSaidAfterAFailureOfOurOwn(t *testing.T) {
	for _, tt := range []struct {
		at  string
		err error
	}{
		{"silence", signer.ErrFailed},
		{"return", signer.ErrFailed},
		{"local", store.ErrFailed},
		{"body", store.ErrNoSpace},
		{"commit", store.ErrCorrupt},
		{"sign", signer.ErrFailed},
		{"sign", bft.ErrContradiction},
	} {
		t.Run(fmt.Sprint(tt.at, " ", tt.err), func(t *testing.T) {
			l, e := newEffectLoop()
			e.fail[tt.at] = fmt.Errorf("%w: with its figures", tt.err)
			_, err := l.execute(everything())
			if !errors.Is(err, tt.err) || e.did("send") || e.did("publish") {
				t.Fatalf("execute: %v after %v, want %v and nothing said", err, e.done, tt.err)
			}
			if tt.at == "commit" && e.did("sign") {
				t.Error("signed on a block that is not stored")
			}
			text := ours(err).Error()
			if !errors.Is(ours(err), errOurs) || strings.Contains(text, "\n") || !strings.Contains(text, tt.err.Error()) {
				t.Errorf("it ends with %q, want one sentence with its cause", text)
			}
		})
	}
}

func TestASignatureThatAFaultyMachineGotWrongIsNotSent(t *testing.T) {
	l, e := newEffectLoop()
	l.genesis = bft.GenesisHash{1} // the fake signs for another chain
	if _, err := l.execute(everything()); !errors.Is(err, bft.ErrInvalid) || slices.Contains(e.done, "send") {
		t.Errorf("execute: %v after %v, want bft.ErrInvalid before anything is sent", err, e.done)
	}
}

// A step that ends a height mostly begins the next one.
func TestTheTimeOfAHeightIsTakenThoughTheNextHasBegun(t *testing.T) {
	l, _ := newEffectLoop()
	l.pace.entered(time.Now().Add(-time.Second), 1, 0)
	if _, err := l.execute(everything()); err != nil {
		t.Fatal(err)
	}
	if len(l.pace.samples) != 1 || l.pace.samples[0] < time.Second {
		t.Errorf("samples = %v, want the second that height 1 took", l.pace.samples)
	}
	if l.pace.height != 2 || l.pace.began.IsZero() {
		t.Errorf("height %d is timed, want 2", l.pace.height)
	}
}

func TestEveryFailureOfOurOwnNamesARemedy(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{store.ErrNoSpace, "make room"},
		{store.ErrCorrupt, "start it again"},
		{chain.ErrStorage, "start it again"},
		{store.ErrFailed, "look after the disk"},
		{signer.ErrFailed, "look after the disk"},
		{signer.ErrRefused, "nothing was signed"},
		{bft.ErrContradiction, "nothing was signed"},
		{chain.ErrBroken, "report this"},
	} {
		if text := ours(tt.err).Error(); !strings.Contains(text, tt.want) {
			t.Errorf("%v: %q, want it to say %q", tt.err, text, tt.want)
		}
	}
}
