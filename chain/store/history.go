package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/task"
)

// FinalTx is a transaction in a final block.
type FinalTx struct {
	Tx       chain.VerifiedTx
	Height   bft.Height
	Block    cid.Cid
	Position int
	Receipt  chain.Receipt
}

// Tx returns a final transaction.
func (s *Store) Tx(id cid.Cid) (FinalTx, error) {
	raw, err := s.get(txKey(id))
	if err != nil {
		return FinalTx{}, err
	}
	p, err := decodePlace(raw)
	if err != nil {
		return FinalTx{}, err
	}
	block, header, err := s.HeaderAt(p.height)
	if err != nil {
		if p.height == 0 || !s.final(p.height-1) {
			err = missing(err) // nothing is ever written beyond the block after the head
		}
		return FinalTx{}, err // the block after the head is not shown
	}
	b, err := s.Block(block)
	if err != nil {
		return FinalTx{}, missing(err)
	}
	if p.position >= len(b.Txs) || b.Txs[p.position].ID() != id {
		return FinalTx{}, fmt.Errorf("%w: transaction %s is not at %d of block %d", ErrCorrupt, id, p.position, p.height)
	}
	receipt, err := s.receipt(p.height, p.position)
	return FinalTx{b.Txs[p.position], header.Height, block, p.position, receipt}, err
}

// Receipts returns the receipts of the final block at a height: those of its
// transactions, then those of the deadlines that fired in it, then that of its
// members if they changed.
func (s *Store) Receipts(h bft.Height) ([]chain.Receipt, error) {
	_, n, err := s.at(h)
	if err != nil {
		return nil, err
	}
	receipts := make([]chain.Receipt, n)
	for i := range receipts {
		if receipts[i], err = s.receipt(h, i); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}

func (s *Store) receipt(h bft.Height, position int) (chain.Receipt, error) {
	raw, err := s.must(receiptKey(h, position))
	if err != nil {
		return chain.Receipt{}, err
	}
	r, err := chain.DecodeReceipt(raw)
	if err != nil {
		return chain.Receipt{}, fmt.Errorf("%w: receipt %d of height %d: %w", ErrCorrupt, position, h, err)
	}
	return r, nil
}

// Position is a place in the history of a chain. The zero Position is before
// everything.
type Position struct {
	Height  bft.Height
	Receipt int
	Event   int
}

// Before reports whether p is older than o.
func (p Position) Before(o Position) bool {
	if p.Height != o.Height {
		return p.Height < o.Height
	}
	if p.Receipt != o.Receipt {
		return p.Receipt < o.Receipt
	}
	return p.Event < o.Event
}

// Happening is an event and where it happened.
type Happening struct {
	Position
	Time    atp.Millis // of the block
	Subject cid.Cid    // that of the receipt: a transaction, a lock or task that was due, or the block below
	Event   chain.Event
}

// happenings returns what happened in a final block and concerns somebody or
// something, oldest first.
func (s *Store) happenings(h bft.Height, concerns func(chain.Event) bool) ([]Happening, error) {
	_, header, err := s.HeaderAt(h)
	if err != nil {
		return nil, err
	}
	receipts, err := s.Receipts(h)
	if err != nil {
		return nil, err
	}
	var found []Happening
	for i, r := range receipts {
		for j, e := range r.Events {
			if concerns(e) {
				found = append(found, Happening{Position{h, i, j}, header.Time, r.Subject, e})
			}
		}
	}
	return found, nil
}

// indexOf returns the entries of a block in the indexes of tasks and accounts.
// They name heights; what happened there is in the receipts.
func indexOf(h bft.Height, receipts []chain.Receipt) ([]entry, error) {
	var (
		index  []entry
		posted int
	)
	accounts := make(map[atp.ID]bool)
	for _, r := range receipts {
		for _, e := range r.Events {
			for _, id := range accountsOf(e) {
				if !accounts[id] {
					accounts[id] = true
					index = append(index, entry{accountKey(id, h), []byte{}})
				}
			}
			moved, ok := e.Fact.(*task.Moved)
			if !ok {
				continue
			}
			if moved.From == "" {
				index = append(index, entry{postedKey(h, posted), moved.Task.Bytes()})
				posted++
			}
			after, err := atp.Encode(&moved.After)
			if err != nil {
				return nil, err
			}
			index = append(index, entry{taskKey(moved.Task, h), after}) // the last one of the block stays
		}
	}
	return index, nil
}

// accountsOf returns the accounts whose money or standing an event tells about.
func accountsOf(e chain.Event) []atp.ID {
	switch f := e.Fact.(type) {
	case *chain.FeePaid:
		return []atp.ID{f.From}
	case *chain.Transferred:
		return []atp.ID{f.From, f.To}
	case *chain.ValidatorCandidate:
		return []atp.ID{f.ID}
	case *chain.CandidateLeft:
		return []atp.ID{f.ID}
	case *chain.ValidatorLeft:
		return []atp.ID{f.ID}
	case *chain.ValidatorAbsent:
		return []atp.ID{f.ID}
	case *chain.ValidatorSlashed:
		return []atp.ID{f.ID}
	case *chain.BondReturned:
		return []atp.ID{f.ID}
	case *chain.KeyRotated:
		return []atp.ID{f.Old, f.New}
	case *chain.LockOpened:
		return []atp.ID{f.Payer, f.Payee}
	case *chain.LockCommitted:
		return []atp.ID{f.Payer, f.Payee}
	case *chain.LockRolledBack:
		return []atp.ID{f.Payer, f.Payee}
	case *chain.PlatformRegistered:
		return []atp.ID{f.ID}
	case *chain.Granted:
		return []atp.ID{f.To}
	case *task.Locked:
		return []atp.ID{f.Payer}
	case *task.Engaged:
		return []atp.ID{f.Requester, f.Executor}
	case *task.Paid:
		if f.Executor.ID.IsZero() {
			return []atp.ID{f.Requester}
		}
		return []atp.ID{f.Requester, f.Executor.ID}
	case *task.ReputationChanged:
		return []atp.ID{f.Who}
	case *task.Challenged:
		return []atp.ID{f.By}
	case *task.Drawn:
		return f.Seats
	case *task.SeatPaid:
		return []atp.ID{f.Witness}
	case *task.StakeBonded:
		return []atp.ID{f.ID}
	case *task.StakeLeaving:
		return []atp.ID{f.ID}
	case *task.StakeReleased:
		return []atp.ID{f.ID}
	}
	return nil
}

// AccountHistory returns at most limit events about an account that are older
// than a position, newest first. The zero Position starts at the newest.
func (s *Store) AccountHistory(id atp.ID, before Position, limit int) ([]Happening, error) {
	var page []Happening
	concerns := func(e chain.Event) bool { return slices.Contains(accountsOf(e), id) }
	err := s.each(accountPrefix(id), func(key string, _ []byte) (bool, error) {
		h, err := parseDown(lastPart(key))
		if err != nil || !s.final(h) || before != (Position{}) && h > before.Height {
			return true, err
		}
		block, err := s.happenings(h, concerns)
		if err != nil {
			return false, missing(err)
		}
		for _, x := range slices.Backward(block) {
			if before == (Position{}) || x.Before(before) {
				page = append(page, x)
			}
		}
		return len(page) < limit, nil
	})
	return page[:min(limit, len(page))], err
}

// Task returns a task as the newest final block that moved it left it, open or
// settled.
func (s *Store) Task(id cid.Cid) (task.Task, error) {
	var (
		newest task.Task
		found  bool
	)
	err := s.each(taskPrefix(id), func(key string, value []byte) (bool, error) {
		h, err := parseUp(lastPart(key))
		if err != nil || !s.final(h) {
			return false, err
		}
		found = true
		newest = task.Task{}
		if err := chain.DecodeExactly(value, chain.MaxValueBytes, &newest); err != nil {
			return false, fmt.Errorf("%w: task %s at height %d: %w", ErrCorrupt, id, h, err)
		}
		return true, nil
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: task %s", ErrNotFound, id)
	}
	return newest, err
}

// TaskHistory returns all events of a task, oldest first.
func (s *Store) TaskHistory(id cid.Cid) ([]Happening, error) {
	var all []Happening
	err := s.each(taskPrefix(id), func(key string, _ []byte) (bool, error) {
		h, err := parseUp(lastPart(key))
		if err != nil || !s.final(h) {
			return false, err
		}
		block, err := s.happenings(h, func(e chain.Event) bool { return e.Task() == id })
		all = append(all, block...)
		return true, missing(err)
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: task %s", ErrNotFound, id)
	}
	return all, err
}

// TaskRef is where a task was posted: a cursor for [Store.Tasks].
type TaskRef struct {
	ID     cid.Cid
	Cursor string
}

// Tasks returns at most limit tasks that were posted before the one at the
// cursor, newest first. The empty cursor starts at the newest.
func (s *Store) Tasks(cursor string, limit int) ([]TaskRef, error) {
	var page []TaskRef
	err := s.each(postedPrefix, func(key string, value []byte) (bool, error) {
		name := lastPart(key)
		h, err := postedHeight(name)
		if err != nil || !s.final(h) || name <= cursor {
			return true, err
		}
		id, err := cid.Cast(value)
		if err != nil {
			return false, fmt.Errorf("%w: %s: %w", ErrCorrupt, key, err)
		}
		page = append(page, TaskRef{id, name})
		return len(page) < limit, nil
	})
	return page, err
}

// each calls f for the keys under a prefix, in order, until f says no.
func (s *Store) each(prefix string, f func(key string, value []byte) (more bool, err error)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: reading %s: %v", ErrCorrupt, prefix, r)
		}
	}()
	for e, err := range ds.QueryIter(context.Background(), s.db, query.Query{Prefix: prefix, Orders: []query.Order{query.OrderByKey{}}}) {
		if err != nil {
			return fmt.Errorf("%w: reading %s: %w", ErrCorrupt, prefix, err)
		}
		if more, err := f(e.Key, e.Value); err != nil || !more {
			return err
		}
	}
	return nil
}
