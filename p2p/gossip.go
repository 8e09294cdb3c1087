package p2p

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	// outboundQueue is pubsub's queue of messages to one peer. Its default of 32
	// drops most of a burst, and Publish returns nil all the same.
	outboundQueue = 4096

	// maxSubscriptions bounds what one message of a peer may announce.
	maxSubscriptions = 32
)

// gossip is the state of GossipSub in a host.
type gossip struct {
	workers chan struct{} // tokens of running validators
	budget  int64         // bytes of the messages that may wait for them
	waiting atomic.Int64  // bytes

	mu      sync.Mutex
	ps      *pubsub.PubSub            // guarded by mu: nil before Run
	topics  map[string]*pubsub.Topic  // guarded by mu: by short name
	streams map[peer.ID]*gossipStream // guarded by mu: the newest inbound one of each peer
}

func newGossip(l Limits) *gossip {
	return &gossip{
		workers: make(chan struct{}, l.GossipWorkers),
		budget:  int64(l.GossipBytes),
		topics:  map[string]*pubsub.Topic{},
		streams: map[peer.ID]*gossipStream{},
	}
}

func (h *Host) startGossip(ctx context.Context) error {
	if len(h.topics) == 0 {
		return nil
	}
	quiet := slog.New(slog.DiscardHandler) // it warns of each bad message: a peer could fill the disk
	ps, err := pubsub.NewGossipSub(ctx, gossipHost{h.node, h},
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), // contents carry their own signatures
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(contentID), // the default is sender and sequence number, both empty here
		pubsub.WithFloodPublish(true),     // before the mesh has formed, up to a second, messages would go nowhere
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithValidateQueueSize(h.cfg.Limits.GossipQueue),
		pubsub.WithValidateThrottle(h.cfg.Limits.GossipQueue*len(h.topics)),
		pubsub.WithMaxMessageSize(MaxGossip),
		pubsub.WithPeerExchange(false), // whom to connect to is not for strangers to say
		pubsub.WithSubscriptionFilter(subscriptions{h}),
		pubsub.WithPeerScore(h.scoring()),
		pubsub.WithLogger(quiet),
		pubsub.WithRPCLogger(quiet),
	)
	if err != nil {
		return err
	}
	h.gossip.mu.Lock()
	h.gossip.ps = ps
	h.gossip.mu.Unlock()
	return h.joinTopics()
}

func contentID(m *pb.Message) string {
	sum := sha256.Sum256(m.GetData())
	return string(sum[:])
}

// topicName is the name on the wire of one of our topics.
func topicName(g Genesis, name string) string { return "sage/" + g.String() + "/" + name }

// joinTopics takes part in all topics, if there is a genesis.
func (h *Host) joinTopics() error {
	genesis := h.Genesis()
	g := h.gossip
	g.mu.Lock()
	defer g.mu.Unlock()
	if genesis.IsZero() || g.ps == nil || len(g.topics) > 0 {
		return nil
	}
	for name, judge := range h.topics {
		full := topicName(genesis, name)
		err := g.ps.RegisterTopicValidator(full, h.validator(judge), pubsub.WithValidatorConcurrency(h.cfg.Limits.GossipQueue))
		if err != nil {
			return fmt.Errorf("p2p: topic %s: %w", name, err)
		}
		t, err := g.ps.Join(full)
		if err != nil {
			return fmt.Errorf("p2p: topic %s: %w", name, err)
		}
		if err := t.SetScoreParams(topicScoring()); err != nil {
			return fmt.Errorf("p2p: topic %s: %w", name, err)
		}
		// A relay is a full member of the mesh without a queue to drain: the
		// validator has already given the message to its owner.
		if _, err := t.Relay(); err != nil {
			return fmt.Errorf("p2p: topic %s: %w", name, err)
		}
		g.topics[name] = t
	}
	return nil
}

// validator makes pubsub's judge of ours. Messages wait for a worker here, at
// most GossipQueue of them per topic and GossipBytes in all; those above are
// dropped, as gossip may.
func (h *Host) validator(judge func(peer.ID, []byte) Verdict) pubsub.ValidatorEx {
	return func(ctx context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		if from == h.id {
			return pubsub.ValidationAccept
		}
		size := int64(len(m.GetData()))
		defer h.gossip.waiting.Add(-size)
		if h.gossip.waiting.Add(size) > h.gossip.budget {
			h.count.gossipDropped.Add(1)
			return pubsub.ValidationIgnore
		}
		select {
		case h.gossip.workers <- struct{}{}:
			defer func() { <-h.gossip.workers }()
		case <-ctx.Done():
			return pubsub.ValidationIgnore
		}
		switch judge(from, m.GetData()) {
		case Accept:
			h.count.gossipAccepted.Add(1)
			return pubsub.ValidationAccept
		case Reject:
			h.count.gossipRejected.Add(1)
			h.offence(from, m.GetTopic()+": message rejected")
			return pubsub.ValidationReject
		}
		h.count.gossipIgnored.Add(1)
		return pubsub.ValidationIgnore
	}
}

// Publish gives a message to the topic of that name. It is best effort: have
// another way to ask for what was lost. The same bytes published again within two
// minutes go nowhere.
func (h *Host) Publish(name string, data []byte) error {
	// Room for the topic's name and the envelope.
	if len(data) == 0 || len(data) > MaxGossip-1024 {
		return fmt.Errorf("%w: gossip: have %d bytes, want 1 to %d", ErrTooLarge, len(data), MaxGossip-1024)
	}
	h.gossip.mu.Lock()
	t := h.gossip.topics[name]
	h.gossip.mu.Unlock()
	if t == nil {
		return fmt.Errorf("%w: topic %q is not joined: unknown, or there is no genesis yet", ErrNotRunning, name)
	}
	if err := t.Publish(context.Background(), data); err != nil {
		return fmt.Errorf("p2p: topic %s: %w", name, err)
	}
	h.count.gossipOut.Add(1)
	return nil
}

// TopicPeers returns the peers that take part in the topic of that name.
func (h *Host) TopicPeers(name string) []peer.ID {
	h.gossip.mu.Lock()
	t := h.gossip.topics[name]
	h.gossip.mu.Unlock()
	if t == nil {
		return nil
	}
	ids := t.ListPeers()
	slices.Sort(ids)
	return ids
}

// subscriptions lets in our own topics and forgets all others.
type subscriptions struct{ h *Host }

func (f subscriptions) CanSubscribe(topic string) bool {
	g := f.h.Genesis()
	if g.IsZero() {
		return false
	}
	for name := range f.h.topics {
		if topic == topicName(g, name) {
			return true
		}
	}
	return false
}

func (f subscriptions) FilterIncomingSubscriptions(_ peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	if len(subs) > maxSubscriptions {
		return nil, pubsub.ErrTooManySubscriptions
	}
	return pubsub.FilterSubscriptions(subs, f.CanSubscribe), nil
}

// scoring is mild: a peer sinks by sending what is invalid or by breaking the
// router's rules, and recovers within minutes. There is no penalty for delivering
// little (P3 of GossipSub): an idle federation delivers nothing, and every peer
// would be pruned.
func (h *Host) scoring() (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	loopback := []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
	return &pubsub.PeerScoreParams{
			SkipAtomicValidation:        true,
			Topics:                      map[string]*pubsub.TopicScoreParams{}, // joined later; nil panics then
			AppSpecificScore:            h.scoreOf,
			AppSpecificWeight:           10, // per offence: eight of them reach the publish threshold
			IPColocationFactorWeight:    -1,
			IPColocationFactorThreshold: h.cfg.Limits.PerAddress, // a LAN behind one NAT is no attack
			IPColocationFactorWhitelist: loopback,
			BehaviourPenaltyWeight:      -10,
			BehaviourPenaltyThreshold:   6,
			BehaviourPenaltyDecay:       pubsub.ScoreParameterDecay(10 * time.Minute),
			DecayInterval:               pubsub.DefaultDecayInterval,
			DecayToZero:                 pubsub.DefaultDecayToZero,
			RetainScore:                 10 * time.Minute,
		}, &pubsub.PeerScoreThresholds{
			GossipThreshold:   -40,
			PublishThreshold:  -80,
			GraylistThreshold: -160,
		}
}

func topicScoring() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		SkipAtomicValidation:           true,
		TopicWeight:                    1,
		TimeInMeshQuantum:              time.Second,
		FirstMessageDeliveriesWeight:   0.1, // who brings news first is kept in the mesh
		FirstMessageDeliveriesDecay:    pubsub.ScoreParameterDecay(10 * time.Minute),
		FirstMessageDeliveriesCap:      100,
		InvalidMessageDeliveriesWeight: -10, // times the square: the fourth graylists
		InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(10 * time.Minute),
	}
}

func (h *Host) scoreOf(id peer.ID) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.conduct.peek(id); ok {
		return c.score()
	}
	return 0
}

// gossipHost is the host that pubsub sees: streams reach it only once both sides
// have agreed on a genesis. Until then a peer's first message, its subscriptions,
// waits in the stream: it is sent once, and read earlier it would be about topics
// that we do not know yet, and be lost.
type gossipHost struct {
	host.Host
	h *Host
}

func (g gossipHost) SetStreamHandler(p protocol.ID, handle network.StreamHandler) {
	g.Host.SetStreamHandler(p, g.h.tracked(g.h.afterAgreement(handle)))
}

func (g gossipHost) SetStreamHandlerMatch(p protocol.ID, match func(protocol.ID) bool, handle network.StreamHandler) {
	g.Host.SetStreamHandlerMatch(p, match, g.h.tracked(g.h.afterAgreement(handle)))
}

func (h *Host) afterAgreement(handle network.StreamHandler) func(context.Context, network.Stream) {
	return h.onceAgreed(func(ctx context.Context, s network.Stream) {
		gs := h.newGossipStream(ctx, s)
		defer h.endGossipStream(gs)
		handle(gs)
	})
}

// gossipStream is an inbound stream of pubsub, read at a bounded rate. pubsub
// resets a stream when reading fails, when a newer one replaces it, or when the
// peer sent garbage: only the last is the peer's fault.
type gossipStream struct {
	paced
	h        *Host
	failed   atomic.Bool
	replaced atomic.Bool
}

func (h *Host) newGossipStream(ctx context.Context, s network.Stream) *gossipStream {
	_, _, pace := h.limitersOf(s.Conn().RemotePeer())
	gs := &gossipStream{paced: paced{s, ctx, pace}, h: h}
	h.gossip.mu.Lock()
	defer h.gossip.mu.Unlock()
	if old := h.gossip.streams[s.Conn().RemotePeer()]; old != nil {
		old.replaced.Store(true)
	}
	h.gossip.streams[s.Conn().RemotePeer()] = gs
	return gs
}

func (h *Host) endGossipStream(gs *gossipStream) {
	h.gossip.mu.Lock()
	defer h.gossip.mu.Unlock()
	if id := gs.Conn().RemotePeer(); h.gossip.streams[id] == gs {
		delete(h.gossip.streams, id)
	}
}

func (s *gossipStream) Read(b []byte) (int, error) {
	n, err := s.paced.Read(b[:min(len(b), MaxGossip)])
	if n > 0 && s.h.standingOf(s.Conn().RemotePeer()) == asStranger {
		if late := s.h.strangers.gossip.WaitN(s.ctx, n); late != nil && err == nil {
			err = late
		}
	}
	if err != nil {
		s.failed.Store(true)
	}
	return n, err
}

func (s *gossipStream) Reset() error {
	if !s.failed.Load() && !s.replaced.Load() && s.ctx.Err() == nil {
		s.h.offence(s.Conn().RemotePeer(), fmt.Sprintf("%s: %v", s.Protocol(), ErrMalformed))
	}
	return s.Stream.Reset()
}
