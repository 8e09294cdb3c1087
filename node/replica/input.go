package replica

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// Input is something that happened: one of the types of this file.
type Input interface{ input() }

// Start is the first input, given exactly once: the replica sends again what
// it had signed at this height and arms what must run.
type Start struct{}

// Received is a consensus message as it was decoded from the authenticated
// stream of From (or from the heads topic), with no signature checked.
type Received struct {
	From    bft.ID
	Message bft.Message
}

// Verified answers one [Job]: Message if the signatures hold, else Err, which
// wraps bft.ErrInvalid.
type Verified struct {
	Job     Job
	Message bft.Verified
	Err     error
}

// Signed answers Output.Sign: the same statements, in the same order, sealed
// ([bft.Verifier.Seal]) after the signer's record of them became durable.
type Signed struct {
	Messages []bft.Verified
}

// Transactions are signed transactions whose signatures hold. From is the peer
// that sent them, zero if Local: submitted here, so kept on disk and spread.
type Transactions struct {
	From  bft.ID
	Txs   []chain.VerifiedTx
	Local bool
}

// TimerFired tells that the duration of a timer of Output.Timers has passed.
type TimerFired struct{ Timer Timer }

// Connected tells that a path to an authenticated peer exists.
type Connected struct{ Peer bft.ID }

// Disconnected tells that none exists: the connection was lost, the keep-alive
// passed, or dialling failed at start.
type Disconnected struct{ Peer bft.ID }

// ClockSet tells that the clock was set between the step before and this one:
// it is By milliseconds further on, or back if negative, than time has passed.
type ClockSet struct{ By int64 }

// Asked is a peer's request for what only the replica may hold: transactions
// of the mempool or the height in progress, and bodies of the height in
// progress. The driver answers for what the store holds by itself. Request is
// the driver's handle; exactly one [Answer] carries it.
type Asked struct {
	From    bft.ID
	Request uint64
	Want    Want
}

// Fetched answers one [Fetch]: exactly one for each, within the driver's
// deadline. It may hold less than was asked for. A driver that cannot reach
// the peer answers with nothing.
type Fetched struct {
	Fetch  Fetch
	Txs    []chain.VerifiedTx // signatures checked by the driver
	Blocks []FetchedBlock     // consecutive, lowest first
}

// FetchedBlock is a block as a peer tells it: Block is what chain.Body.Verify
// made of its answer, so that header, transactions and signatures agree. Cert
// is nil for a block that was asked for by its ID.
type FetchedBlock struct {
	Block chain.Block
	Cert  *bft.CommitCert
}

// Want names what a [Fetch] or [Asked] is for; one of the fields is set.
type Want struct {
	Txs   []cid.Cid // transactions by address (chain.VerifiedTx.Address)
	Block cid.Cid   // one block, by ID
	Range Range     // final blocks with certificates
}

// Range is the heights From … To, both included. The zero Range is none.
type Range struct{ From, To bft.Height }

// IsZero reports whether r is no range at all.
func (r Range) IsZero() bool { return r == Range{} }

func (Start) input()        {}
func (Received) input()     {}
func (Verified) input()     {}
func (Signed) input()       {}
func (Transactions) input() {}
func (TimerFired) input()   {}
func (Connected) input()    {}
func (Disconnected) input() {}
func (ClockSet) input()     {}
func (Asked) input()        {}
func (Fetched) input()      {}
