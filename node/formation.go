package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// ErrGenesis reports a genesis that cannot be used here: damaged, or of
// another federation than the one that this home takes part in.
var ErrGenesis = errors.New("node: genesis")

// formingEvery is the pause between two rounds of questions while a federation
// is being founded or found.
const formingEvery = 200 * time.Millisecond

// askPatience is how long one peer may take to answer while a federation is
// being founded or found: others are asked too, and all of them again.
const askPatience = 3 * time.Second

// settle returns the genesis of the federation that this platform takes part
// in: that of its home, or of the file it was given, or the one that it founds
// or finds. The key is bound to it, and it is on the disk, when settle returns.
func (n *Node) settle(ctx context.Context) (chain.Genesis, error) {
	g, stored, err := n.storedGenesis()
	if err == nil && !stored {
		g, err = n.newGenesis(ctx)
	}
	if err != nil || ctx.Err() != nil {
		return chain.Genesis{}, err
	}
	if err := n.bind(g); err != nil {
		return chain.Genesis{}, err
	}
	if err := n.stand(g); err != nil {
		return chain.Genesis{}, err
	}
	if err := n.rememberInvite(); err != nil {
		return chain.Genesis{}, err
	}
	if !stored {
		raw, err := g.JSON()
		if err != nil {
			return chain.Genesis{}, fmt.Errorf("%w: %w", ErrGenesis, err)
		}
		if err := writeDurably(n.cfg.Home, genesisFile, raw); err != nil {
			return chain.Genesis{}, err
		}
	}
	return g, removeDurably(n.cfg.Home, foundingFile)
}

// newGenesis returns the genesis of a home that has none.
func (n *Node) newGenesis(ctx context.Context) (chain.Genesis, error) {
	switch {
	case n.invite != nil:
		return n.joinInvited(ctx)
	case n.cfg.GenesisFile != "":
		return readGenesis(n.cfg.GenesisFile)
	case n.cfg.Expect > 0:
		return n.found(ctx, n.cfg.Expect)
	case len(n.cfg.Bootstrap) > 0:
		return n.join(ctx)
	case n.cfg.NoMDNS && n.cfg.Observer:
		return chain.Genesis{}, fmt.Errorf("%w: an observer founds nothing, and without mDNS finds nobody: name a platform of its federation with --bootstrap, or its genesis with --genesis", ErrGenesis)
	case n.cfg.NoMDNS:
		return n.found(ctx, 1)
	}
	return n.rendezvous(ctx)
}

// storedGenesis returns the genesis of the home, if it has one. A file that was
// given must be the same.
func (n *Node) storedGenesis() (g chain.Genesis, stored bool, err error) {
	path := filepath.Join(n.cfg.Home, genesisFile)
	if !exists(path) {
		if _, err := n.store.Genesis(); err == nil {
			return g, false, fmt.Errorf("%w: %s holds a chain but no %s: put it back from its backup, or from another platform's home", ErrGenesis, n.cfg.Home, genesisFile)
		}
		return g, false, nil
	}
	if g, err = readGenesis(path); err != nil {
		return g, true, err
	}
	if err := n.invitedHere(g); err != nil || n.cfg.GenesisFile == "" {
		return g, true, err
	}
	given, err := readGenesis(n.cfg.GenesisFile)
	if err != nil {
		return g, true, err
	}
	have, haveErr := g.Hash()
	want, wantErr := given.Hash()
	if err := errors.Join(haveErr, wantErr); err != nil {
		return g, true, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if have != want {
		return g, true, fmt.Errorf("%w: this home belongs to the federation %s, and %s is of %s: leave out --genesis, or choose another --home", ErrGenesis, have, n.cfg.GenesisFile, want)
	}
	return g, true, nil
}

// bind ties the key to a federation, so that it never signs for two.
func (n *Node) bind(g chain.Genesis) error {
	if g.Network != n.cfg.Network {
		return fmt.Errorf("%w: it is of the network %q, and this platform of %q: start it with --network %s", ErrGenesis, g.Network, n.cfg.Network, g.Network)
	}
	hash, err := g.Hash()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if err := n.signer.Bind(hash); err != nil {
		return fmt.Errorf("%w: it is of the federation %s: %w: put back the %s that belongs here, or choose another --home", ErrGenesis, hash, err, genesisFile)
	}
	return nil
}

func readGenesis(path string) (chain.Genesis, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return chain.Genesis{}, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	g, err := chain.ParseGenesis(raw)
	if err != nil {
		return chain.Genesis{}, fmt.Errorf("%w: %s: %w: get it anew from a platform of the federation", ErrGenesis, path, err)
	}
	return g, nil
}

// GenesisFault says what is wrong with a genesis that [chain.ParseGenesis] refuses,
// in one line: the first fault, and how many more there are. Of a forged one no
// founder's signature holds.
func GenesisFault(err error) string {
	class := chain.ErrGenesis.Error() + ": "
	first, rest, several := strings.Cut(err.Error(), "\n")
	first = strings.TrimPrefix(first, class)
	if more := strings.Count(rest, "\n") + 1; several {
		return fmt.Sprintf("%s (and %d more)", first, more)
	}
	return first
}

// loadParams returns the genesis parameters that a founder wants.
func loadParams(path string) (chain.Params, error) {
	if path == "" {
		return chain.DefaultParams(chain.AdmitAuto), nil
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return chain.Params{}, fmt.Errorf("node: parameters: %w", err)
	}
	p, err := parseParams(file)
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return chain.Params{}, fmt.Errorf("node: parameters: %s: %w", path, err)
	}
	return p, nil
}

// parseParams reads the one JSON value of a file of parameters. What it leaves out
// is as usual for its way of admission.
func parseParams(file []byte) (chain.Params, error) {
	p := chain.DefaultParams(chain.AdmitAuto)
	var how struct{ Admission chain.Admission }
	if json.Unmarshal(file, &how) == nil && how.Admission == chain.AdmitVote {
		p = chain.DefaultParams(chain.AdmitVote)
	}
	dec := json.NewDecoder(bytes.NewReader(file))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return p, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return p, errors.New("the file goes on after its JSON value")
	}
	return p, nil
}

// found makes a federation with as many founders as are expected.
func (n *Node) found(ctx context.Context, expect int) (chain.Genesis, error) {
	cfg := n.cfg
	cfg.Expect = expect
	f, err := newFounding(cfg, n.id(), n.params, nowAtp(), n.signer.SignBytes)
	if err != nil {
		return chain.Genesis{}, err
	}
	f.where = n.farEnd
	if expect > 1 {
		n.host.SetNote(noteGathers)
	}
	for {
		n.founding.Store(f.shown())
		g, waiting, err := f.hear(n.announcements(ctx, expect))
		n.founding.Store(f.shown()) // what was signed just now may be all that another waits for
		if err != nil || waiting == "" {
			return g, err
		}
		if g, ok := n.adoptedGenesis(ctx); ok {
			return g, nil
		}
		if !n.pause(ctx, formingEvery, waiting) {
			return chain.Genesis{}, nil
		}
	}
}

// announcements asks everyone who is connected what they want to found.
func (n *Node) announcements(ctx context.Context, expect int) map[atp.ID]wire.Announcement {
	var mu sync.Mutex
	heard := map[atp.ID]wire.Announcement{}
	if expect == 1 {
		return heard
	}
	n.askAll(ctx, wire.Question{Founding: true}, n.mayFound(expect), func(id atp.ID, reply wire.Reply) bool {
		a, err := wire.DecodeAnnouncement(reply.Data)
		if err != nil {
			n.host.Blame(id.ID, err.Error())
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		heard[id] = a
		return false
	})
	return heard
}

func everybody(atp.ID) bool { return true }

// mayFound returns whose wish to found counts: anybody's, unless the operator has
// named all the others. Then no stranger can be too many, or a founder.
func (n *Node) mayFound(expect int) func(atp.ID) bool {
	named := map[peer.ID]bool{}
	list, err := n.cfg.bootstrap()
	for _, b := range list {
		if b.ID != n.id().ID {
			named[b.ID] = true
		}
	}
	if err != nil || len(named) < expect-1 {
		return everybody
	}
	return func(id atp.ID) bool { return named[id.ID] }
}

// farEnd is where a connected platform is, or empty.
func (n *Node) farEnd(id atp.ID) string {
	for _, p := range n.host.Peers() {
		if p.ID == id.ID && len(p.Addrs) > 0 {
			return p.Addrs[0].String()
		}
	}
	return ""
}

// askAll asks every connected platform that counts the same, and calls hear, on
// several goroutines, for those that answer in time. It returns when all have,
// or hear has heard enough. Each has its own time: whoever is silent keeps
// nobody else from being asked.
func (n *Node) askAll(ctx context.Context, q wire.Question, counts func(atp.ID) bool, hear func(atp.ID, wire.Reply) (enough bool)) {
	ctx, done := context.WithCancel(ctx)
	defer done()
	var g errgroup.Group
	g.SetLimit(64)
	for _, p := range n.host.Peers() {
		id, err := atp.IDFromPeer(p.ID)
		if err != nil || !counts(id) {
			continue // no platform, which has an Ed25519 key, or not one of those asked
		}
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, askPatience)
			defer cancel()
			reply, err := n.ask(ctx, p.ID, q)
			if err != nil {
				n.log.Debug("question not answered", "peer", p.ID, "err", err)
				return nil
			}
			if hear(id, reply) {
				done()
			}
			return nil
		})
	}
	// Nobody's silence is an error.
	_ = g.Wait()
}

// join finds the federation of the bootstrap peers: the first of them that
// says which one it is of is believed about that, and the genesis proves itself
// by its hash and signatures.
func (n *Node) join(ctx context.Context) (chain.Genesis, error) {
	for {
		if g, ok := n.adoptedGenesis(ctx); ok {
			return g, nil
		}
		if !n.pause(ctx, formingEvery, "a bootstrap platform to answer, and to tell its genesis") {
			return chain.Genesis{}, nil
		}
	}
}

// adoptedGenesis fetches the genesis of the federation that the host has
// adopted, if it has.
func (n *Node) adoptedGenesis(ctx context.Context) (chain.Genesis, bool) {
	hash := n.host.Genesis()
	if hash.IsZero() {
		return chain.Genesis{}, false
	}
	var found atomic.Pointer[chain.Genesis]
	n.askAll(ctx, wire.Question{Genesis: true}, everybody, func(from atp.ID, reply wire.Reply) bool {
		g, err := genesisOf(reply, bft.GenesisHash(hash))
		if err != nil {
			n.host.Blame(from.ID, err.Error())
			return false
		}
		found.Store(&g)
		return true
	})
	if g := found.Load(); g != nil {
		return *g, true
	}
	return chain.Genesis{}, false
}

// genesisOf reads a genesis, which must be the one with this hash.
func genesisOf(reply wire.Reply, want bft.GenesisHash) (chain.Genesis, error) {
	g, err := chain.ParseGenesis(reply.Data)
	if err != nil {
		return chain.Genesis{}, err
	}
	have, err := g.Hash()
	if err == nil && have != want {
		err = fmt.Errorf("genesis: have %s, want %s", have, want)
	}
	return g, err
}

// refused hears that a peer was turned away. While this platform looks for a
// federation to join, that is how it learns of its bootstrap peer's; while it
// founds one, that the genesis which it signed was completed in its absence.
func (n *Node) refused(r p2p.Refusal) {
	select {
	case n.met <- struct{}{}:
	default:
	}
	f := n.founding.Load()
	signed := f != nil && f.signed() && f.say.Draft == r.Genesis
	found := n.joining() && n.isBootstrap(r.ID)
	if r.Network != n.cfg.Network || r.Genesis.IsZero() || !n.host.Genesis().IsZero() || !signed && !found {
		return
	}
	if err := n.host.SetGenesis(r.Genesis); err != nil {
		n.hub.alarm(fmt.Sprintf("%s is of another federation, %s", r.Name, r.Genesis))
	}
}

// joining reports whether the platform looks for a federation to join.
func (n *Node) joining() bool {
	return n.cfg.GenesisFile == "" && n.cfg.Expect == 0 && len(n.cfg.Bootstrap) > 0
}

func (n *Node) isBootstrap(id peer.ID) bool {
	list, err := n.bootstrap()
	if err != nil {
		return false
	}
	for _, b := range list {
		if b.ID == id {
			return true
		}
	}
	return false
}

// pause waits a little, telling users for what. It reports false once ctx ends.
func (n *Node) pause(ctx context.Context, d time.Duration, waiting string) bool {
	if old := n.waiting.Swap(&waiting); old == nil || *old != waiting {
		n.log.Info("waiting", "for", waiting)
		n.hub.tell()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
