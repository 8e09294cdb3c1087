// Package node is a platform: it opens a home, finds or founds a federation,
// and then joins the deterministic replica to network, disk, clock and users.
//
// # Who owns what
//
//	N1  one goroutine (the loop) owns the replica; everything else reaches it
//	    by its input channel, and learns from it by what it publishes.
//	N2  what is called final is on the disk: the loop publishes a block only
//	    after the store has it (A7). Readers see the state of that block.
//	N3  a peer's fault never ends the process; our own disk's fault, or a law
//	    that breaks, always does.
//	N4  [New] starts nothing. When [Node.Run] returns, every goroutine that it
//	    started has ended and every file is closed.
//	N5  a federation is left only for another of its name, and only if nothing
//	    but its founding has happened in it; its chain is kept (W1 to W4, aside.go).
//
// # Files of a home
//
// key and signer belong to node/signer, store/ to chain/store, api.addr and
// api.token to node/api. genesis.json and founding.json are made when the
// platform joins a federation; blobs/ is content by CID; journal/ is what the
// worker has promised and, as a witness, sworn, and what it executed has said; invites.json,
// the invites that this platform has made, and invite, the one by which it joined; store.suspect says
// that the store must be looked at;
// resigned, that the operator gave the vote back; leaving.json, that a federation
// is being left, whose chain aside-TIME/ keeps.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// Version is what this software calls itself.
const Version = "0.1.0"

// Node is one platform.
type Node struct {
	cfg      Config
	log      *slog.Logger
	present  func(Presence)
	founded  func(Federation)
	runtimes exec.Registry
	life     *life
	works    *works        // tasks that are being executed here
	asks     chan struct{} // held by questions that a model here answers

	candidacy atp.Span     // how long a JOIN of ours lasts
	tasks     p2p.TaskFunc // serves /sage/task/1

	// Set by open, before anything runs.
	params    chain.Params
	signer    *signer.Signer
	store     *store.Store
	blobs     blobs
	hub       *hub
	host      *p2p.Host
	contacts  *contacts
	peerNews  *rate.Limiter // of events about peers
	refusals  refusalNews
	metrics   *metrics
	moved     bool // the default port was taken
	invites   *invites
	invite    *wire.Invite  // by which this platform joins, or has joined; nil if by none
	heading   p2p.Genesis   // of the federation that an earlier life left its own for
	met       chan struct{} // holds one token when another federation was met
	elsewhere elsewhere

	stop     context.CancelFunc       // ends Run; set by it, before anything runs
	opened   atomic.Bool              // what open sets may be read
	told     atomic.Bool              // to end, by a request
	resigned atomic.Bool              // the operator gave the vote back
	founding atomic.Pointer[founding] // while founding, what others may be told
	waiting  atomic.Pointer[string]   // what the node waits for, while there is no chain
	chain    atomic.Pointer[running]  // nil until there is a chain
}

// Presence is where a platform is reached: told as soon as it listens, while
// there may be no federation yet.
type Presence struct {
	Self   peer.ID
	Name   string   // of the platform in its federation, or as it was configured
	Listen []string // multiaddrs with /p2p/ID: what another platform's --bootstrap takes
	API    string   // URL
	Moved  []string // which default ports were taken, in words: the system chose others
}

// Federation is what a platform finds or founds: told before it takes part, so
// that nobody joins a stranger's by mistake.
type Federation struct {
	Network string
	Genesis bft.GenesisHash
	Founder string // the name of the first founder, and how many others there are
	Origin  Origin
	Awaits  string // what keeps the platform from a vote, in words; empty if nothing does
}

// Origin is how a platform has come by its federation.
type Origin int

// The origins.
const (
	OriginHome    Origin = iota // its home had it
	OriginFound                 // it heard of it, or was given its genesis
	OriginFounded               // it founded it, alone or with others
)

func (o Origin) String() string {
	switch o {
	case OriginFound:
		return "found"
	case OriginFounded:
		return "founded"
	}
	return "home"
}

// An Option replaces a part that most callers leave alone.
type Option func(*Node)

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return func(n *Node) { n.log = l } }

// WithRuntimes offers these runtimes for tasks. The default is none.
func WithRuntimes(r exec.Registry) Option { return func(n *Node) { n.runtimes = r } }

// WithPresence calls f once, when the platform listens.
func WithPresence(f func(Presence)) Option { return func(n *Node) { n.present = f } }

// WithFederation calls f once, when the platform has found or founded its
// federation and before it takes part.
func WithFederation(f func(Federation)) Option { return func(n *Node) { n.founded = f } }

// WithAlarms calls f with everything that the operator must hear, as it happens.
func WithAlarms(f func(text string)) Option { return func(n *Node) { n.hub.said = f } }

// New makes a node from a valid configuration. It starts nothing and touches
// no file.
func New(cfg Config, opts ...Option) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg.whole(), log: slog.New(slog.DiscardHandler),
		present: func(Presence) {}, founded: func(Federation) {}, hub: newHub(time.Now()), contacts: newContacts(),
		candidacy: defaultCandidacy, peerNews: newPeerNews(),
		life: newLife(), met: make(chan struct{}, 1), works: newWorks(), asks: make(chan struct{}, maxAsksHere),
		elsewhere: newElsewhere(),
	}
	n.tasks = n.serveTask
	if cfg.Join != "" {
		invite, err := wire.ParseInvite(cfg.Join)
		if err != nil {
			return nil, fmt.Errorf("node: %w", err)
		}
		n.invite = &invite
	}
	for _, o := range opts {
		o(n)
	}
	n.metrics = newMetrics(n)
	return n, nil
}

// id is the platform's identity.
func (n *Node) id() atp.ID { return atp.ID(n.signer.ID()) }

// Run operates the node until ctx ends or a part of it fails, or with [ErrAgain].
func (n *Node) Run(ctx context.Context) (err error) {
	if err := n.open(); err != nil {
		return errors.Join(err, n.close())
	}
	defer func() { err = n.ended(err) }()
	server := api.New(api.Config{Home: n.cfg.Home, Addr: n.cfg.APIAddr}, n, api.WithLogger(n.log), api.WithMetrics(n.metrics.handler()))
	if err := server.Listen(); err != nil {
		return err
	}
	ctx, n.stop = context.WithCancel(ctx)
	defer n.stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Run(ctx) })
	g.Go(func() error { return n.host.Run(ctx) })
	g.Go(func() error { return n.alone(ctx) })
	g.Go(func() error { return n.live(ctx, server.URL()) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return n.again(err)
	}
	return nil
}

// open takes the home: key, record, store, content. What it opened before an
// error, close closes.
func (n *Node) open() (err error) {
	if n.params, err = loadParams(n.cfg.ParamsFile); err != nil {
		return err
	}
	if !exists(filepath.Join(n.cfg.Home, signer.KeyFile)) {
		if err := n.couldListen(); err != nil {
			return err
		}
	}
	if n.signer, err = openSigner(n.cfg.Home); err != nil {
		return err
	}
	if err := openFolder(n.cfg.Home); err != nil {
		return err
	}
	if err := n.finishLeaving(); err != nil {
		return err
	}
	n.resigned.Store(exists(filepath.Join(n.cfg.Home, resignedFile)))
	if n.blobs, err = openBlobs(filepath.Join(n.cfg.Home, "blobs")); err != nil {
		return err
	}
	if n.store, err = openStore(n.cfg, n.log); err != nil {
		return err
	}
	genesis, err := n.store.Genesis()
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := n.takeName(); err != nil {
		return err
	}
	if err := n.openInvites(); err != nil {
		return err
	}
	if n.host, err = n.newHost(n.first(p2p.Genesis(genesis))); err != nil {
		return err
	}
	n.introduce()
	n.opened.Store(true)
	return nil
}

// couldListen refuses addresses that another has, before a home is made for a
// platform that would not run. Of one with a key, its own node may have them.
func (n *Node) couldListen() error {
	addrs, _, err := n.cfg.listen()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := p2p.CouldListen(a); err != nil {
			return err
		}
	}
	return api.CouldListen(n.cfg.APIAddr)
}

// takeName gives the platform the name that it has in its federation, in place
// of the one that it was started with: names never change.
func (n *Node) takeName() error {
	head, err := n.store.Head()
	if errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	state, err := chain.OpenState(n.store, head.StateRoot, head.Tip)
	if err != nil {
		return err
	}
	name, named, err := state.NameOf(n.id())
	if named && n.cfg.Name != string(name) {
		n.log.Info("the platform has a name already", "name", name, "not", n.cfg.Name)
		n.cfg.Name = string(name)
	}
	return err
}

// Stop implements api.Process.
func (n *Node) Stop(context.Context) (view.Stopping, error) {
	n.log.Info("told to end by a request to the API")
	n.told.Store(true)
	n.stop()
	return view.Stopping{PID: os.Getpid()}, nil
}

// Open reports whether the home has been opened, so that the node answers.
func (n *Node) Open() bool { return n.opened.Load() }

func (n *Node) close() error {
	var errs []error
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if n.signer != nil {
		errs = append(errs, n.signer.Close())
	}
	return errors.Join(errs...)
}

// openSigner takes the key of a home, and makes one in a home that has no
// chain yet.
func openSigner(home string) (*signer.Signer, error) {
	if exists(filepath.Join(home, genesisFile)) || exists(filepath.Join(home, "store")) {
		return signer.Open(home)
	}
	return signer.OpenOrCreate(home)
}

// newHost makes the platform's host. What peers send before there is a chain is
// ignored: a Status comes again in answer to our first, and what is unfinished is
// repeated.
func (n *Node) newHost(genesis p2p.Genesis) (*p2p.Host, error) {
	listen, replaced, err := n.cfg.listen()
	if err != nil {
		return nil, err
	}
	if replaced {
		n.log.Info("the default port is taken, by another platform perhaps: the system chooses one", "port", defaultPort)
	}
	n.moved = replaced
	announce, err := parseAll("announced", n.cfg.Announce)
	if err != nil {
		return nil, err
	}
	bootstrap, err := n.bootstrap()
	if err != nil {
		return nil, err
	}
	limits := p2p.EdgeLimits()
	if n.cfg.Profile == store.Server {
		limits = p2p.ServerLimits()
	}
	return p2p.New(p2p.Config{
		Key: n.signer.HostKey(), Listen: listen, Network: n.cfg.Network, Genesis: genesis,
		Name: n.cfg.Name, Agent: "sage-p2p/" + Version, Bootstrap: bootstrap, Limits: limits, MDNS: !n.cfg.NoMDNS,
		Public: n.cfg.Public, Announce: announce,
	},
		p2p.WithLogger(n.log),
		p2p.WithEvents(n.event),
		p2p.WithFrames(n.once(func(w *wires) judgement { return w.frame })),
		p2p.WithTopic(txTopic, n.once(func(w *wires) judgement { return w.bundle })),
		p2p.WithTopic(headTopic, n.once(func(w *wires) judgement { return w.heard })),
		p2p.WithFetch(n.serveFetch),
		p2p.WithTasks(n.tasks),
	)
}

// judgement takes bytes of a peer and says what they are worth.
type judgement = func(peer.ID, []byte) p2p.Verdict

// once is a judgement that begins once there is a chain; before, it blames
// nobody.
func (n *Node) once(of func(*wires) judgement) judgement {
	return func(from peer.ID, data []byte) p2p.Verdict {
		if r := n.chain.Load(); r != nil {
			return of(r.wires)(from, data)
		}
		return p2p.Ignore
	}
}

// live finds the federation and takes part in it.
func (n *Node) live(ctx context.Context, apiURL string) error {
	select {
	case <-n.host.Ready():
	case <-ctx.Done():
		return nil
	}
	n.life.settleDown(n.host, apiURL)
	n.hub.tell(newsOf(view.EventPeer, view.NameNodeUp, n.id().String(), n.height(), view.PeerNews{Name: n.cfg.Name}))
	n.present(Presence{Self: n.id().ID, Name: n.cfg.Name, Listen: n.addrs(), API: apiURL, Moved: n.movedPorts(apiURL)})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.exchangeContacts(ctx) })
	g.Go(func() error {
		stored := exists(filepath.Join(n.cfg.Home, genesisFile))
		genesis, err := n.settle(ctx)
		if err != nil || ctx.Err() != nil {
			return err
		}
		r, err := n.start(ctx, genesis)
		if err != nil {
			return err
		}
		n.proclaim(genesis)
		f := federation(r, genesis, n.origin(genesis, stored))
		if f.Awaits, err = n.awaits(r.state()); err != nil {
			return err
		}
		n.founded(f)
		return r.run(n)
	})
	return g.Wait()
}

func (n *Node) origin(g chain.Genesis, stored bool) Origin {
	switch {
	case stored:
		return OriginHome
	case slices.ContainsFunc(g.Founders, func(f chain.Founder) bool { return f.ID == n.id() }):
		return OriginFounded
	}
	return OriginFound
}

func federation(r *running, g chain.Genesis, o Origin) Federation {
	founder := g.Founders[0].Name
	if others := len(g.Founders) - 1; others > 0 {
		founder = fmt.Sprintf("%s and %d more", founder, others)
	}
	return Federation{Network: g.Network, Genesis: r.genesis, Founder: founder, Origin: o}
}

// addrs are the addresses at which other platforms reach this one.
func (n *Node) addrs() []string {
	list := []string{}
	for _, a := range n.host.Addrs() {
		list = append(list, a.String())
	}
	return list
}
