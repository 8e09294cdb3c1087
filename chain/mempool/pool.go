// Package mempool keeps the transactions that wait for a block.
//
// A [Pool] is a pure value: it reads no clock, and for the same sequence of
// calls it always holds the same. It belongs to one goroutine.
//
// # Rules
//
//	M1  of each sender, transactions wait in the order of their nonces, at most
//	    [MaxAhead] of them, and what is selected has no gap.
//	M2  the pool never holds more than its bytes. What leaves first pays the
//	    least for each byte; at equal pay it is the newest of the sender that
//	    holds the most, so that a flood drowns in itself.
//	M3  whoever takes a place pays more: a transaction replaces one of its
//	    sender and nonce for a tenth more, at least 1 µATP.
//	M4  what could make no block valid any more does not stay: included,
//	    outrun by its nonce, expired, not paid for. So whatever is ready is
//	    work: a block can hold at least one of it.
package mempool

import (
	"container/heap"
	"errors"
	"fmt"

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
	// ErrAhead reports a nonce too far ahead: send it again once those before
	// it are final.
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
	state    chain.State
	maxBytes int
	senders  map[atp.ID]*queue
	byID     map[cid.Cid]*entry
	byForm   map[cid.Cid]*entry // by the address of the signed form
	worst    worst              // the senders again; the first loses a transaction next (M2)
	bytes    int
	arrivals uint64
}

// entry is a transaction that waits.
type entry struct {
	tx      chain.VerifiedTx
	nonce   uint64
	fee     atp.Amount
	size    int
	expires atp.Millis
	rate    atp.Amount // µATP for each KiB, rounded down
	arrival uint64
}

// New returns an empty pool over the state that the next block is built on.
func New(state chain.State) *Pool { return NewSized(state, DefaultBytes) }

// NewSized returns an empty pool that holds so many bytes.
func NewSized(state chain.State, bytes int) *Pool {
	return &Pool{
		state: state, maxBytes: bytes,
		senders: make(map[atp.ID]*queue), byID: make(map[cid.Cid]*entry), byForm: make(map[cid.Cid]*entry),
	}
}

// Len returns how many transactions wait.
func (p *Pool) Len() int { return len(p.byID) }

// Bytes returns how much they hold, in bytes of their signed forms.
func (p *Pool) Bytes() int { return p.bytes }

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

// newEntry checks what needs no account.
func (p *Pool) newEntry(v chain.VerifiedTx, now atp.Millis) (*entry, error) {
	tx, params := v.Tx(), p.state.Params()
	size := len(v.Bytes())
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
	case tx.Expires != 0 && tx.Expires < max(now, p.state.Tip().Time):
		return nil, fmt.Errorf("%w: expired at %d, now %d", ErrStale, tx.Expires, max(now, p.state.Tip().Time))
	}
	p.arrivals++
	return &entry{
		tx: v, nonce: tx.Nonce, fee: tx.Fee, size: size, expires: tx.Expires,
		rate: atp.MulDiv(tx.Fee, 1<<10, uint64(size)), arrival: p.arrivals,
	}, nil
}

// queueOf returns a sender's queue as of the state, a new one that is not in
// the pool yet if nothing of it waits.
func (p *Pool) queueOf(id atp.ID) (*queue, error) {
	a, err := p.state.Account(id)
	if err != nil {
		return nil, err
	}
	q := p.senders[id]
	if q == nil {
		q = &queue{id: id}
	}
	q.next, q.funds = a.Nonce, a.Available
	return q, nil
}

// insert puts e into q in place of old, which may be nil.
func (p *Pool) insert(q *queue, e, old *entry) {
	if old != nil {
		p.remove(q, old)
	}
	q.put(e)
	p.byID[e.tx.ID()], p.byForm[e.tx.Address()] = e, e
	p.bytes += e.size
	if p.senders[q.id] == nil {
		p.senders[q.id] = q
		heap.Push(&p.worst, q)
	} else {
		heap.Fix(&p.worst, q.place)
	}
}

func (p *Pool) remove(q *queue, e *entry) {
	q.cut(e)
	delete(p.byID, e.tx.ID())
	delete(p.byForm, e.tx.Address())
	p.bytes -= e.size
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
		for least := q.least; ; {
			last := q.last()
			p.remove(q, last)
			out = append(out, eviction{q, last})
			if last == least {
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
	p.state = state
	for _, tx := range txs {
		// Only a sender's own transactions move its nonce or take from it.
		if p.senders[tx.Tx().From] == nil {
			continue
		}
		if _, err := p.queueOf(tx.Tx().From); err != nil {
			return err
		}
	}
	for _, q := range p.senders { // each is judged by itself
		for _, e := range q.done(state.Tip().Time) {
			p.remove(q, e)
		}
	}
	return nil
}
