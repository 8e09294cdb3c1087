package replica

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// Output is what the driver must do, completely and in the order of the
// fields, before the next Step. The order is the durability contract:
//
//  1. Gossip: transactions to spread. Nothing need be durable for it: each is
//     signed by its sender, and says nothing of ours. Whoever submitted it here
//     hears of it by Publish.
//  2. Verify: check signatures, in any order, beside the loop; each Job is
//     answered by one [Verified].
//  3. Persist: everything in it is on disk before anything below happens, but
//     for Sign, before which only Mute, Return and Final must be.
//  4. Sign: hand to the signer in one call, when those are on disk; what it
//     returns, once all of Persist is on disk too, is the very next input
//     ([Signed]), whose Output sends the signatures. The rest of this Output
//     comes first.
//  5. Send: already signed, or needing no signature. Best effort.
//  6. Timers: arm; a timer replaces the armed one of its Kind.
//  7. Fetch: ask a peer; each is answered by one [Fetched].
//  8. Answers: of [Asked].
//  9. Publish: tell the user, the API, metrics and the peer scores.
type Output struct {
	Gossip  []Gossip
	Verify  []Job
	Persist Persist
	Sign    []bft.Unsigned
	Send    []Envelope
	Timers  []Timer
	Fetch   []Fetch
	Answers []Answer
	Publish Publish
}

// Persist is what must be durable before the rest of its Output: Mute or Return,
// then Final, then the others in any order.
type Persist struct {
	Local  []chain.VerifiedTx // journal of locally submitted transactions
	Bodies []chain.Block      // blocks that we are about to propose or vote for
	Final  *Final             // at most one height in each Output
	Mute   string             // unless empty, why nothing may be signed any more, through any restart
	Return bft.Height         // unless zero, what Mute forbade is allowed again above this height
}

// Final is a decided height: to be stored in the order of reliability.md, noted
// by the signer, and only then published.
type Final struct {
	Block  chain.Block
	Cert   bft.CommitCert
	Result chain.Result // new state nodes, receipts, events
}

// Envelope is one message to some peers, each on its own stream.
type Envelope struct {
	To      []bft.ID // never ourselves
	Message bft.Message
}

// Job is a signature check: [bft.Verifier.Verify] of Message, with Height and
// Set. The driver hands the Job back with the verdict and changes nothing in it.
type Job struct {
	From    bft.ID // who is to blame
	Height  bft.Height
	Set     bft.ValidatorSet
	Message bft.Message
	Arrived bft.Arrival
	strange bool // From had no vote
}

// Fetch asks Peer for Want.
type Fetch struct {
	ID   uint64 // unique in one run of the replica
	Peer bft.ID
	Want Want
}

// Answer is what the replica holds of an [Asked]'s Want: nothing when all
// fields are empty.
type Answer struct {
	Request uint64
	Txs     []chain.VerifiedTx
	Block   *chain.Block
}

// Gossip is transactions to spread: to the peers named, on their streams, or
// when there are none on the topic.
type Gossip struct {
	To  []bft.ID
	Txs []chain.VerifiedTx
}

// Publish is what others may now learn.
type Publish struct {
	Final    *Final    // the Final of Persist, now that it is durable
	Verdicts []Verdict // of the Transactions of this step, in their order
	Faults   []Fault   // peers that sent what no correct peer sends
	Evidence []bft.Evidence
	Alarms   []Alarm
}

// Verdict tells what became of a transaction; Err is nil when the mempool
// took it.
type Verdict struct {
	ID    cid.Cid
	From  bft.ID
	Local bool
	Err   error
}

// Fault blames a peer. Err wraps bft.ErrInvalid or chain.ErrInvalid.
type Fault struct {
	Peer bft.ID
	Err  error
}

// Alarm is something the operator must hear.
type Alarm struct {
	Kind AlarmKind
	Text string // what was seen, and the remedy
}

// AlarmKind classes alarms.
type AlarmKind uint8

// Alarms.
const (
	AlarmClock    AlarmKind = iota + 1 // our clock is behind the chain or far from our peers'
	AlarmRolled                        // a peer holds a newer message of ours than our record: signing stopped
	AlarmStore                         // a block that is not final was spoilt on the disk
	AlarmReturned                      // after AlarmRolled: it signs again
)
