package p2p

import (
	"errors"
	"fmt"
	"time"
)

// Caps of the wire. They are the same on every platform: a frame that one
// platform may send, all others accept.
const (
	maxHello = 2 << 10 // three names of 64 bytes and a dozen protocols fit twice

	// MaxFrame bounds one consensus frame: a proposal's payload (header and
	// transaction IDs, 1 MiB) with the certificates of a hundred validators.
	MaxFrame = 2 << 20

	// MaxRequest bounds a fetch request: two thousand 32-byte IDs.
	MaxRequest = 64 << 10

	// MaxResponse bounds a fetch answer: one full block's body.
	MaxResponse = 16 << 20

	// MaxTaskFrame bounds one frame of a task stream. Larger things go as blobs.
	MaxTaskFrame = 1 << 20

	// MaxGossip bounds one gossiped message: a batch and its envelope. pubsub
	// allocates what a peer says that it will send.
	MaxGossip = MaxBatchBytes + 32<<10

	// MaxBatchItems and MaxBatchBytes bound one batch of a [Batcher]. 256
	// transactions are verified together at the best price per signature.
	MaxBatchItems = 256
	MaxBatchBytes = 256 << 10

	// MaxSlots bounds the frames kept per peer. Consensus uses about ten kinds.
	MaxSlots = 64

	chunkSize   = 64 << 10 // a blob's chunk: yamux sends no more at once, so votes pass between
	maxErrText  = 256      // a peer's error text, shown to people
	maxRefusals = 256      // refused peers remembered, the oldest forgotten first
	maxConduct  = 1024     // peers whose offences are remembered, those of none first forgotten
	maxOffences = 8        // offences listed per peer
	maxPast     = 4        // boot nonces remembered per connected peer
	sureTasks   = 2        // task streams that each kept peer has a place for, each way
)

// batchDelay is the longest that a transaction waits for company. The first
// after a pause does not wait: a lone transfer must be final within 10 ms.
const batchDelay = 5 * time.Millisecond

// Limits are the resources that a host may use and the patience that it has.
// Start from [EdgeLimits] or [ServerLimits].
type Limits struct {
	Connections    int   // kept at most, over all peers; protected ones are not closed
	PerAddress     int   // connections from one IPv4 address or IPv6 /56: a LAN behind one NAT is one address
	Memory         int64 // bytes, for libp2p's own buffers
	Descriptors    int   // file descriptors
	OutboxBytes    int   // kept for one peer, over all slots; the oldest go first
	FrameBytes     int   // of large frames that are arriving, over all peers: strangers may hold half
	FrameRate      int   // consensus frames per second read from one peer
	ByteRate       int   // bytes per second read from one peer, for consensus and for gossip each
	FetchesPerPeer int   // requests to one peer at once
	Fetches        int   // requests served at once: each may hold an answer of MaxResponse
	TasksPerPeer   int   // task streams to one peer at once
	Tasks          int   // task streams served at once
	GossipQueue    int   // messages waiting for a validator, per topic
	GossipBytes    int   // of all messages waiting for a validator
	GossipWorkers  int   // validators running at once
	Offences       int   // tolerated before a ban; one is forgiven each OffenceDecay

	Hello        time.Duration // for the identity check on a new connection
	Prove        time.Duration // for an older connection to answer when a newer one has come up
	Frame        time.Duration // for one frame to arrive once begun, or to be written
	Fetch        time.Duration // for a whole request and its answer
	TaskIdle     time.Duration // for silence on a task stream
	Dial         time.Duration // for one attempt
	RedialMin    time.Duration // before the second attempt; doubled each time
	RedialMax    time.Duration // between attempts to reach a peer that stays away
	DialGrace    time.Duration // that the higher ID leaves to the lower to dial first
	Linger       time.Duration // that a relayed connection stays once there is a direct one
	Ping         time.Duration // between measurements of the round trip
	FormingGrace time.Duration // that a peer without genesis may stay after we have one
	OffenceDecay time.Duration // after which one offence is forgiven
	Ban          time.Duration // that a banned peer's connections are refused
}

// EdgeLimits suit an 8 GB machine that also runs models: everything together
// stays under 256 MiB, fetch answers (8 × 16 MiB) being the largest part.
func EdgeLimits() Limits {
	return Limits{
		Connections:    128,
		PerAddress:     64,
		Memory:         128 << 20, // a stream reserves 256 KiB of it: 27 validators with 6 streams each take a third
		Descriptors:    512,
		OutboxBytes:    8 << 20,  // four of the largest frames; a frame sent to all is kept once
		FrameBytes:     48 << 20, // 24 of the largest: a proposal comes from one validator at a time
		FrameRate:      5000,     // 1000 heights a second with 5 frames from each validator
		ByteRate:       8 << 20,
		FetchesPerPeer: 4,
		Fetches:        8,
		TasksPerPeer:   8,
		Tasks:          32,
		GossipQueue:    4096, // pubsub's 32 drops 96 % of a burst of 2000, silently
		GossipBytes:    32 << 20,
		GossipWorkers:  4,
		Offences:       8,

		Hello:        5 * time.Second, // three round trips over the worst relay, and a busy machine
		Prove:        2 * time.Second, // four round trips over the worst relay
		Frame:        10 * time.Second,
		Fetch:        60 * time.Second, // 16 MiB at 280 KiB/s: slower peers are not worth asking
		TaskIdle:     2 * time.Minute,  // a large model's first token
		Dial:         10 * time.Second,
		RedialMin:    500 * time.Millisecond,
		RedialMax:    30 * time.Second, // a machine switched on is found within half a minute
		DialGrace:    time.Second,      // a dial that works takes less, mostly
		Linger:       15 * time.Second,
		Ping:         15 * time.Second,
		FormingGrace: 30 * time.Second,
		OffenceDecay: time.Minute,
		Ban:          time.Minute, // short: a validator after a bad release must come back by itself
	}
}

// ServerLimits suit a workstation or a public platform.
func ServerLimits() Limits {
	l := EdgeLimits()
	l.Connections = 512
	l.PerAddress = 256
	l.Memory = 512 << 20
	l.Descriptors = 2048
	l.OutboxBytes = 16 << 20
	l.FrameBytes = 192 << 20
	l.FrameRate = 20_000
	l.ByteRate = 32 << 20
	l.FetchesPerPeer = 8
	l.Fetches = 32
	l.TasksPerPeer = 16
	l.Tasks = 128
	l.GossipBytes = 128 << 20
	l.GossipWorkers = 8
	return l
}

func (l Limits) validate() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int64
		least int64
	}{
		{"Connections", int64(l.Connections), 1},
		{"PerAddress", int64(l.PerAddress), 1},
		{"Memory", l.Memory, 16 << 20},
		{"Descriptors", int64(l.Descriptors), 32},
		{"OutboxBytes", int64(l.OutboxBytes), MaxFrame},
		{"FrameBytes", int64(l.FrameBytes), 4 * MaxFrame},
		{"FrameRate", int64(l.FrameRate), 1},
		{"ByteRate", int64(l.ByteRate), 1},
		{"FetchesPerPeer", int64(l.FetchesPerPeer), 1},
		{"Fetches", int64(l.Fetches), 1},
		{"TasksPerPeer", int64(l.TasksPerPeer), 1},
		{"Tasks", int64(l.Tasks), 1},
		{"GossipQueue", int64(l.GossipQueue), 1},
		{"GossipBytes", int64(l.GossipBytes), MaxGossip},
		{"GossipWorkers", int64(l.GossipWorkers), 1},
		{"Offences", int64(l.Offences), 1},
		{"Hello", int64(l.Hello), 1},
		{"Prove", int64(l.Prove), 1},
		{"Frame", int64(l.Frame), 1},
		{"Fetch", int64(l.Fetch), 1},
		{"TaskIdle", int64(l.TaskIdle), 1},
		{"Dial", int64(l.Dial), 1},
		{"RedialMin", int64(l.RedialMin), 1},
		{"RedialMax", int64(l.RedialMax), max(1, int64(l.RedialMin))},
		{"DialGrace", int64(l.DialGrace), 1},
		{"Linger", int64(l.Linger), 1},
		{"Ping", int64(l.Ping), 1},
		{"FormingGrace", int64(l.FormingGrace), 1},
		{"OffenceDecay", int64(l.OffenceDecay), 1},
		{"Ban", int64(l.Ban), 1},
	} {
		if n.value < n.least {
			errs = append(errs, fmt.Errorf("p2p: config: limits: %s: have %d, want at least %d", n.name, n.value, n.least))
		}
	}
	return errors.Join(errs...)
}
