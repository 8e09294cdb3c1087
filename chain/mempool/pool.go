// Package mempool keeps the transactions that wait for a block.
//
// A [Pool] is a pure value: it reads no clock, and for the same sequence of
// calls it always holds the same. It belongs to one goroutine.
//
// # Rules
//
//	M1  of each sender, transactions wait in the order of their nonces, at most
//	    [MaxAhead] of them, and what is selected has no gap.
//	M2  the pool never holds more than its bytes. What stands behind a gap
//	    leaves first, whatever it pays; then what pays the least for its share
//	    of a block, the largest part that it takes of any of a block's limits.
//	    At equal pay it is the newest of the sender that holds the largest
//	    shares, so that a flood drowns in itself.
//	M3  whoever takes a place pays more: a transaction replaces one of its
//	    sender and nonce for a tenth more, at least 1 µATP.
//	M4  what could make no block valid any more does not stay: included,
//	    outrun by its nonce, expired, not paid for. Nor does what has waited
//	    [MaxWait]; whoever still wants it brings it again. So whatever is
//	    ready is work: a block can hold at least one of it.
//	M5  keys cost nothing. One of which the state knows nothing holds its next
//	    transaction alone, and all such together a quarter of the pool.
//	M6  what is held counts beside what is paid, as nobody can make it: of a
//	    sender that holds one part in 2,048 of all that accounts hold, the
//	    next transaction, if it takes a 512th of a block at most, makes room
//	    for nobody, and a quarter of each block goes to such, those first
//	    that were not in a block for longest. So it is in one of the next 16 blocks, whatever others pay.
//
// Other than the design has it, pay is for the share of a block and not for
// bytes: where operations are scarce, few bytes fill a block with them.
package mempool

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"math/bits"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
)

// Bounds of a pool.
const (
	// MaxAhead is how many transactions of one sender wait, from the state's
	// nonce on.
	MaxAhead = 64
	// DefaultBytes is how much a pool holds, in bytes of signed transactions.
	DefaultBytes = 16 << 20
	// MaxTxs is how many transactions a pool holds, however small.
	MaxTxs = 1 << 15
	// MaxWait is how long a transaction waits, in the time of blocks.
	MaxWait = 3_600 * atp.Second
	// strangersPart is the part of a pool that is for strangers: a quarter.
	strangersPart = 4
	// holders is how many may hold enough to be a holder, modest the part of a
	// block that a transaction of theirs may take at most, and holdersPart the
	// part of pool and block that is for them (M6).
	holders     = 2_048
	modest      = 512
	holdersPart = 4
)

// Why a pool does not take a transaction. A transaction that no correct
// platform sends is refused with an error that wraps [chain.ErrInvalid]
// instead; that of an unreadable state wraps [chain.ErrStorage].
var (
	// ErrKnown reports a transaction that is here already. Nobody is to blame.
	ErrKnown = errors.New("mempool: known")
	// ErrStale reports a transaction that is too late: its nonce is used, or it
	// has expired. Nobody is to blame.
	ErrStale = errors.New("mempool: stale")
	// ErrAhead reports a nonce too far ahead, for a sender without an account
	// any but the next: send it again once those before it are final.
	ErrAhead = errors.New("mempool: nonce too far ahead")
	// ErrFunds reports a sender that cannot pay its fees.
	ErrFunds = errors.New("mempool: fees not covered")
	// ErrUnderpriced reports a replacement that does not pay enough more.
	ErrUnderpriced = errors.New("mempool: replacement underpriced")
	// ErrFull reports that all others pay more, or hold less: come back later.
	ErrFull = errors.New("mempool: full")
)

// Pool is the transactions that wait for a block on one state.
type Pool struct {
	state     chain.State
	accounts  *chain.Accounts // of state
	maxBytes  int
	senders   map[atp.ID]*queue
	byID      map[cid.Cid]*entry
	byForm    map[cid.Cid]*entry // by the address of the signed form
	worst     worst              // the senders again; the first loses a transaction next (M2)
	bytes     int
	strangers struct{ txs, bytes int } // part of it (M5)
	arrivals  uint64
}

// entry is a transaction that waits.
type entry struct {
	tx      chain.VerifiedTx
	nonce   uint64
	fee     atp.Amount
	size    int
	share   uint64 // see share
	modest  bool   // M6
	expires atp.Millis
	leaves  atp.Millis // at the latest
	arrival uint64

	stranger bool // its sender had no account when it came
}

// share returns how much of a block a transaction takes: the largest part of
// any limit, in parts of BodyBytes·Ops·Txs. It is below 2⁴², whatever a genesis
// may allow.
func share(l chain.Limits, bytes, ops uint64) uint64 {
	return max(bytes*l.Ops*l.Txs, ops*l.BodyBytes*l.Txs, l.BodyBytes*l.Ops)
}

// whole is the share of all of a block.
func whole(l chain.Limits) uint64 { return l.BodyBytes * l.Ops * l.Txs }

// comparePay compares what two pay for the same share of a block, exactly.
func comparePay(a, b *entry) int {
	ahi, alo := bits.Mul64(uint64(a.fee), b.share)
	bhi, blo := bits.Mul64(uint64(b.fee), a.share)
	return cmp.Or(cmp.Compare(ahi, bhi), cmp.Compare(alo, blo))
}

// New returns an empty pool over the state that the next block is built on.
func New(state chain.State) *Pool { return NewSized(state, DefaultBytes) }

// NewSized returns an empty pool that holds so many bytes.
func NewSized(state chain.State, bytes int) *Pool {
	return &Pool{
		state: state, accounts: state.Accounts(), maxBytes: bytes,
		senders: make(map[atp.ID]*queue), byID: make(map[cid.Cid]*entry), byForm: make(map[cid.Cid]*entry),
	}
}

// Len returns how many transactions wait.
func (p *Pool) Len() int { return len(p.byID) }

// Bytes returns how much they hold, in bytes of their signed forms.
func (p *Pool) Bytes() int { return p.bytes }

// Arrivals counts the transactions that have come. See [Pool.Arrival].
func (p *Pool) Arrivals() uint64 { return p.arrivals }

// Arrival tells when a transaction came: [Pool.Arrivals] as it was then. It is 0
// for one that does not wait.
func (p *Pool) Arrival(id cid.Cid) uint64 {
	if e := p.byID[id]; e != nil {
		return e.arrival
	}
	return 0
}

// Get returns a transaction that waits, by its ID.
func (p *Pool) Get(id cid.Cid) (chain.VerifiedTx, bool) { return found(p.byID[id]) }

// ByAddress returns a transaction that waits, by the address of its signed
// form, as outlines of blocks name it.
func (p *Pool) ByAddress(address cid.Cid) (chain.VerifiedTx, bool) { return found(p.byForm[address]) }

func found(e *entry) (chain.VerifiedTx, bool) {
	if e == nil {
		return chain.VerifiedTx{}, false
	}
	return e.tx, true
}

// Add takes a transaction in, at the local time now. On error the pool is as
// it was.
func (p *Pool) Add(tx chain.VerifiedTx, now atp.Millis) error {
	e, err := p.newEntry(tx, now)
	if err != nil {
		return err
	}
	q, err := p.queueOf(tx.Tx().From)
	if err != nil {
		return err
	}
	old, err := q.judge(e)
	if err != nil {
		return err
	}
	if e.stranger = q.stranger; e.stranger && p.tooStrange(e) {
		return fmt.Errorf("%w: %d transactions wait of senders that have no account yet", ErrFull, p.strangers.txs)
	}
	p.insert(q, e, old)
	evicted := p.shrink()
	for _, out := range evicted {
		if out.entry == e {
			p.undo(q, e, old, evicted)
			return fmt.Errorf("%w: %d bytes wait, all of senders that pay more or hold less", ErrFull, p.bytes)
		}
	}
	return nil
}

// tooStrange reports whether strangers would hold too much with e (M5). None
// of theirs makes room: nobody pays for it.
func (p *Pool) tooStrange(e *entry) bool {
	return (p.strangers.txs+1)*strangersPart > MaxTxs || (p.strangers.bytes+e.size)*strangersPart > p.maxBytes
}

// newEntry checks what needs no account.
func (p *Pool) newEntry(v chain.VerifiedTx, now atp.Millis) (*entry, error) {
	tx, params := v.Tx(), p.state.Params()
	size, came := len(v.Bytes()), max(now, p.state.Tip().Time)
	switch {
	case v.IsZero() || v.Genesis() != p.state.Genesis():
		return nil, fmt.Errorf("%w: transaction of another chain", chain.ErrInvalid)
	case uint64(size) > params.Limits.TxBytes || uint64(len(tx.Ops)) > params.Limits.Ops:
		return nil, fmt.Errorf("%w: have %d bytes and %d operations, want at most %d and %d",
			chain.ErrLimit, size, len(tx.Ops), params.Limits.TxBytes, params.Limits.Ops)
	case tx.Fee < params.MinFee:
		return nil, fmt.Errorf("%w: fee: have %s ATP, want at least %s ATP", chain.ErrLimit, tx.Fee, params.MinFee)
	case p.byID[v.ID()] != nil:
		return nil, fmt.Errorf("%w: %s", ErrKnown, v.ID())
	case tx.Expires != 0 && tx.Expires < came:
		return nil, fmt.Errorf("%w: expired at %d, now %d", ErrStale, tx.Expires, came)
	}
	p.arrivals++
	part := share(params.Limits, uint64(size), uint64(len(tx.Ops)))
	return &entry{
		tx: v, nonce: tx.Nonce, fee: tx.Fee, size: size, share: part,
		modest:  part <= whole(params.Limits)/modest && size <= p.maxBytes/holdersPart/holders,
		expires: tx.Expires, leaves: came.Add(MaxWait), arrival: p.arrivals,
	}, nil
}

// holds reports whether funds make a holder (M6): at most so many can be one, as
// all accounts together hold no more than all.
func (p *Pool) holds(funds atp.Amount) bool {
	return funds > p.state.Totals().Available/holders
}

// queueOf returns a sender's queue as of the state, a new one that is not in
// the pool yet if nothing of it waits.
func (p *Pool) queueOf(id atp.ID) (*queue, error) {
	a, err := p.accounts.Get(id)
	if err != nil {
		return nil, err
	}
	q := p.senders[id]
	if q == nil {
		q = &queue{id: id}
	}
	q.next, q.funds, q.stranger, q.holder = a.Nonce, a.Available, a == (atp.Account{}), p.holds(a.Available)
	return q, nil
}

// insert puts e into q in place of old, which may be nil.
func (p *Pool) insert(q *queue, e, old *entry) {
	if old != nil {
		p.remove(q, old)
	}
	if old == nil && e.nonce == q.next {
		q.turn = e.arrival
	}
	q.put(e)
	p.byID[e.tx.ID()], p.byForm[e.tx.Address()] = e, e
	p.count(e, 1)
	if p.senders[q.id] == nil {
		p.senders[q.id] = q
		heap.Push(&p.worst, q)
	} else {
		heap.Fix(&p.worst, q.place)
	}
}

// count adds e to what the pool holds, or with sign -1 takes it away.
func (p *Pool) count(e *entry, sign int) {
	p.bytes += sign * e.size
	if e.stranger {
		p.strangers.txs += sign
		p.strangers.bytes += sign * e.size
	}
}

func (p *Pool) remove(q *queue, e *entry) {
	q.cut(e)
	delete(p.byID, e.tx.ID())
	delete(p.byForm, e.tx.Address())
	p.count(e, -1)
	if len(q.entries) == 0 {
		delete(p.senders, q.id)
		heap.Remove(&p.worst, q.place)
	} else {
		heap.Fix(&p.worst, q.place)
	}
}

// eviction is an entry that was taken out of a queue.
type eviction struct {
	queue *queue
	entry *entry
}

// shrink brings the pool back within its bounds (M2) and returns what it took
// out. What waits behind it cannot go before it, and goes with it.
func (p *Pool) shrink() (out []eviction) {
	for p.bytes > p.maxBytes || len(p.byID) > MaxTxs {
		q := p.worst[0]
		for victim := q.loses(); ; {
			last := q.last()
			p.remove(q, last)
			out = append(out, eviction{q, last})
			if last == victim {
				break
			}
		}
	}
	return out
}

// undo takes back an insertion and what it evicted.
func (p *Pool) undo(q *queue, e, old *entry, evicted []eviction) {
	for _, out := range evicted {
		if out.entry != e {
			p.insert(out.queue, out.entry, nil)
		}
	}
	if old != nil {
		p.insert(q, old, nil)
	}
}

// Advance moves the pool to the state after a block with the transactions
// txs: they leave, and so does what no later block could hold. On error the
// state is unreadable and the pool is spoilt.
func (p *Pool) Advance(state chain.State, txs []chain.VerifiedTx) error {
	p.state, p.accounts = state, state.Accounts()
	for _, tx := range txs {
		// Only a sender's own transactions move its nonce or take from it.
		q := p.senders[tx.Tx().From]
		if q == nil {
			continue
		}
		if _, err := p.queueOf(tx.Tx().From); err != nil {
			return err
		}
		p.arrivals++
		q.turn = p.arrivals // behind all who wait
	}
	for _, q := range p.senders { // each is judged by itself
		for _, e := range q.done(state.Tip().Time) {
			p.remove(q, e)
		}
		if len(q.entries) > 0 { // its nonce may have moved, and closed a gap
			q.holder = p.holds(q.funds)
			q.findVictim()
			heap.Fix(&p.worst, q.place)
		}
	}
	return nil
}
