package p2p

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// The protocols of this package.
const (
	helloProtocol = protocol.ID("/sage/hello/1")
	frameProtocol = protocol.ID("/sage/bft/1")
	fetchProtocol = protocol.ID("/sage/fetch/1")
	taskProtocol  = protocol.ID("/sage/task/1")
)

// Host is one platform's place in the network. Its methods may be called
// concurrently. Those that need the network return [ErrNotRunning] before
// [Host.Ready] and after [Host.Run].
type Host struct {
	cfg   Config
	id    peer.ID
	nonce uint64
	log   *slog.Logger
	mail  *mailbox
	count counters

	onFrame func(peer.ID, []byte) Verdict
	onFetch FetchFunc
	onTask  TaskFunc
	topics  map[string]func(peer.ID, []byte) Verdict

	started atomic.Bool
	ready   chan struct{}
	work    group
	node    host.Host // set once, before ready is closed
	places  *places   // set with node
	gossip  *gossip
	lan     *discovery   // nil without mDNS
	relay   *relay.Relay // nil unless public
	door    *door
	punch   puncher
	note    atomic.Uint32 // a byte

	lanDials                              *rate.Limiter // to peers that are only found
	fetchesIn, tasksIn, tasksOut, readers *quota
	arriving                              *budget
	strangers                             strangersPace
	chatter                               *rate.Limiter // of lines about strangers

	mu       sync.Mutex
	genesis  Genesis                // guarded by mu
	links    map[network.Conn]*link // guarded by mu: every open connection
	sessions map[peer.ID]*session   // guarded by mu: peers with a finished hello
	outboxes map[peer.ID]*outbox    // guarded by mu: of sessions and of wanted peers
	wanted   map[peer.ID]*wanted    // guarded by mu: peers to be connected with
	members  map[peer.ID]bool       // guarded by mu: of Favour
	crowded  uint64                 // guarded by mu: announcements without room
	seats    map[peer.ID]*seat      // guarded by mu: reservations at relays, at most maxSeats
	conduct  recent[peer.ID, *conduct]
	refusals recent[peer.ID, *Refusal]
	punches  recent[peer.ID, *punch] // guarded by mu

	relaysChanged chan struct{} // holds one token when a relay has come or gone
}

// New makes a host from a valid configuration. It starts nothing.
func New(cfg Config, opts ...Option) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("p2p: key: %w", err)
	}
	var nonce [8]byte
	rand.Read(nonce[:])
	h := &Host{
		cfg:       cfg,
		id:        id,
		nonce:     max(1, binary.BigEndian.Uint64(nonce[:])),
		log:       slog.New(slog.DiscardHandler),
		mail:      newMailbox(),
		topics:    map[string]func(peer.ID, []byte) Verdict{},
		ready:     make(chan struct{}),
		genesis:   cfg.Genesis,
		gossip:    newGossip(cfg.Limits),
		lanDials:  rate.NewLimiter(foundDialRate, foundDialRate),
		fetchesIn: newQuota(cfg.Limits.FetchesPerPeer+spareStreams, cfg.Limits.Fetches, 0), // each may hold much
		tasksIn:   newQuota(cfg.Limits.TasksPerPeer+spareStreams, cfg.Limits.Tasks, sureTasks),
		tasksOut:  newQuota(cfg.Limits.TasksPerPeer, cfg.Limits.Tasks, sureTasks),
		readers:   newQuota(framesPerPeer, 2*framesPerPeer*cfg.Limits.Connections, framesPerPeer),
		strangers: newStrangersPace(cfg.Limits),
		chatter:   rate.NewLimiter(rate.Every(strangerLine), strangerLines),
		arriving:  newBudget(MaxFrame+MaxTaskFrame, cfg.Limits.FrameBytes),
		links:     map[network.Conn]*link{},
		sessions:  map[peer.ID]*session{},
		outboxes:  map[peer.ID]*outbox{},
		wanted:    map[peer.ID]*wanted{},
		conduct:   newRecent[peer.ID, *conduct](maxConduct),
		refusals:  newRecent[peer.ID, *Refusal](maxRefusals),
		punches:   newRecent[peer.ID, *punch](maxPunches),
		seats:     map[peer.ID]*seat{},

		relaysChanged: make(chan struct{}, 1),
	}
	for _, o := range opts {
		o(h)
	}
	if cfg.MDNS {
		h.lan = newDiscovery(cfg, h.id, h, h.log)
	}
	for _, b := range cfg.Bootstrap {
		h.want(b).bootstrap = true
	}
	return h, nil
}

// ID is the platform's identity.
func (h *Host) ID() peer.ID { return h.id }

// Ready is closed when the host listens. If Run fails first, it never is.
func (h *Host) Ready() <-chan struct{} { return h.ready }

// Addrs are the addresses at which the host is reached, with /p2p/ID at the end:
// those of Config.Announce and those at which it listens, ports filled in. It is
// empty before Ready. Other than libp2p's own list, it knows the network interfaces
// of this moment, not of the last minute.
func (h *Host) Addrs() []multiaddr.Multiaddr {
	if !h.isReady() {
		return nil
	}
	return withID(h.id, slices.Concat(h.cfg.Announce, h.interfaceAddrs()))
}

// interfaceAddrs are the addresses at which the host listens.
func (h *Host) interfaceAddrs() []multiaddr.Multiaddr {
	addrs, err := manet.ResolveUnspecifiedAddresses(h.listens(), nil)
	if err != nil {
		return nil
	}
	return addrs
}

func (h *Host) isReady() bool {
	select {
	case <-h.ready:
		return true
	default:
		return false
	}
}

// Run operates the host until ctx ends. When it returns, every connection is
// closed and every goroutine that it started has ended. A host runs once.
func (h *Host) Run(ctx context.Context) error {
	if !h.started.CompareAndSwap(false, true) {
		return errors.New("p2p: host: have a second Run, want one")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.work.open(ctx)
	defer h.work.close(cancel)

	node, err := h.build()
	if err != nil {
		return fmt.Errorf("p2p: host: %w", err)
	}
	defer func() {
		cancel() // handlers must not wait for each other's streams
		h.endTraversal()
		node.Close()
	}()
	h.node = node
	if err := h.serve(ctx); err != nil {
		return err
	}
	close(h.ready)
	h.log.Info("listening", "id", h.id, "addrs", h.Addrs())

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.mail.run(ctx) })
	g.Go(func() error { return h.measure(ctx) })
	if h.lan != nil {
		g.Go(func() error { return h.lan.run(ctx) })
	}
	if !h.cfg.Public {
		g.Go(func() error { return h.keepSeats(ctx) })
	}
	h.pursueAll()
	return g.Wait()
}

// build makes the libp2p host, with an explicit list of parts: the defaults
// bring WebRTC, which doubles the binary, and count connections per address so
// low that a LAN behind one NAT locks itself out.
func (h *Host) build() (host.Host, error) {
	resources, err := newPlaces(h.cfg.Limits, h.standingOf, h.displace)
	if err != nil {
		return nil, fmt.Errorf("resource limits: %w", err)
	}
	h.places = resources
	conns, err := connmgr.NewConnManager(h.cfg.Limits.Connections*3/4, h.cfg.Limits.Connections,
		connmgr.WithGracePeriod(h.cfg.Limits.Hello)) // a stranger is worth no more
	if err != nil {
		resources.Close()
		return nil, fmt.Errorf("connection limits: %w", err)
	}
	node, err := libp2p.New(append(h.traversal(),
		libp2p.Identity(h.cfg.Key),
		libp2p.UserAgent("sage-p2p"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), // first: cheaper than Noise for bulk
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.EnableRelay(), // dials relayed addresses; startRelay serves
		libp2p.NoListenAddrs, // serve listens, once handlers are in place
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.ConnectionGater(gater{h}),
		libp2p.SwarmOpts(swarm.WithDialRanker(rankDials)),
		libp2p.DisableMetrics(), // they would go to a global registry
	)...)
	if err != nil {
		conns.Close()
		resources.Close()
		return nil, err
	}
	return node, nil
}

// serve puts the handlers in place and then listens.
func (h *Host) serve(ctx context.Context) error {
	h.node.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { h.connected(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { h.disconnected(c) },
	})
	h.node.SetStreamHandler(helloProtocol, h.tracked(h.serveHello))
	for p, handle := range map[protocol.ID]func(context.Context, network.Stream){
		frameProtocol: h.serveFrames,
		fetchProtocol: h.serveFetch,
		taskProtocol:  h.serveTask,
	} {
		if h.serves(p) {
			h.node.SetStreamHandler(p, h.tracked(h.afterHello(handle)))
		}
	}
	if err := h.startTraversal(); err != nil {
		return err
	}
	if err := h.startGossip(ctx); err != nil {
		return fmt.Errorf("p2p: gossip: %w", err)
	}
	for _, a := range h.cfg.Listen {
		if err := h.listen(a); err != nil {
			return err
		}
	}
	return nil
}

// serves reports whether the caller gave a handler for p.
func (h *Host) serves(p protocol.ID) bool {
	switch p {
	case helloProtocol:
		return true
	case frameProtocol:
		return h.onFrame != nil
	case fetchProtocol:
		return h.onFetch != nil
	case taskProtocol:
		return h.onTask != nil
	}
	return false
}

// open starts a stream to a connected peer, relayed if need be. It never dials.
func (h *Host) open(ctx context.Context, to peer.ID, p protocol.ID) (network.Stream, error) {
	if !h.isReady() {
		return nil, ErrNotRunning
	}
	if !h.connectedTo(to) {
		return nil, ErrNotConnected
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.Frame)
	defer cancel()
	ctx = network.WithNoDial(ctx, "only peers with a finished hello")
	return h.node.NewStream(network.WithAllowLimitedConn(ctx, string(p)), to, p)
}

// tracked makes Run wait for the handler.
func (h *Host) tracked(handle func(context.Context, network.Stream)) network.StreamHandler {
	return func(s network.Stream) {
		if !h.work.do(func(ctx context.Context) { handle(ctx, s) }) {
			s.Reset()
		}
	}
}

// afterHello holds a stream back until its connection has finished hello (P1).
func (h *Host) afterHello(handle func(context.Context, network.Stream)) func(context.Context, network.Stream) {
	return h.after(func(l *link) <-chan struct{} { return l.greeted }, handle)
}

// after holds a stream back until its connection has passed a gate. Streams that
// wait are limited per peer by the resource manager, and end with the connection.
func (h *Host) after(gate func(*link) <-chan struct{}, handle func(context.Context, network.Stream)) func(context.Context, network.Stream) {
	return func(ctx context.Context, s network.Stream) {
		l := h.linkOf(s.Conn())
		if l == nil {
			s.Reset()
			return
		}
		select {
		case <-gate(l):
			handle(ctx, s)
		case <-l.closed:
			s.Reset()
		case <-ctx.Done():
			s.Reset()
		}
	}
}

// measure keeps the round-trip times of all peers fresh.
func (h *Host) measure(ctx context.Context) error {
	tick := time.NewTicker(h.cfg.Limits.Ping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var g errgroup.Group
		g.SetLimit(8)
		for _, p := range h.Peers() {
			g.Go(func() error { h.pingOnce(ctx, p.ID); return nil })
		}
		g.Wait()
	}
}
