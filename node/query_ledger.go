package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// Account implements api.Ledger.
func (n *Node) Account(_ context.Context, id peer.ID) (view.Account, error) {
	r, err := n.ready()
	if err != nil {
		return view.Account{}, err
	}
	state := r.state()
	who, err := atp.IDFromPeer(id)
	if err != nil {
		return view.Account{}, &view.Error{Code: view.CodeInvalid, Message: err.Error()}
	}
	account, err := state.Account(who)
	if err != nil {
		return view.Account{}, err
	}
	name, named, err := state.NameOf(who)
	if err != nil {
		return view.Account{}, err
	}
	if !named && account == (atp.Account{}) {
		return view.Account{}, notFound(nil, "no block has ever touched an account %s", who)
	}
	stake, staked, err := state.Stake(who)
	if err != nil {
		return view.Account{}, err
	}
	standing, err := reputations(state)
	if err != nil {
		return view.Account{}, err
	}
	v := view.Account{
		PeerID: id, Name: string(name), Nonce: account.Nonce, Height: view.Height(state.Tip().Height),
		AvailableUATP: view.Amount(account.Available), LockedUATP: view.Amount(account.Locked), BondedUATP: view.Amount(account.Bonded),
		Stake: viewStake(stake, staked), Reputation: standing[who],
	}
	now, err := state.Newest(who)
	if err != nil {
		return view.Account{}, err
	}
	if now != who {
		v.Nonce, v.ReplacedBy = 0, now.ID
	}
	if v.Reputation == nil {
		v.Reputation = []view.Reputation{}
	}
	return v, nil
}

// History implements api.Ledger. A cursor is the place of the last movement of
// the page before: height.receipt.event.
func (n *Node) History(_ context.Context, id peer.ID, cursor string, limit int) (view.Movements, error) {
	if _, err := n.ready(); err != nil {
		return view.Movements{}, err
	}
	who, err := atp.IDFromPeer(id)
	if err != nil {
		return view.Movements{}, &view.Error{Code: view.CodeInvalid, Message: err.Error()}
	}
	var before store.Position
	if cursor != "" {
		if _, err := fmt.Sscanf(cursor, "%d.%d.%d", &before.Height, &before.Receipt, &before.Event); err != nil {
			return view.Movements{}, &view.Error{Code: view.CodeInvalid, Message: fmt.Sprintf("%.40q is no cursor of a page", cursor), Hint: "leave it out to begin with the newest"}
		}
	}
	page := view.Movements{Movements: []view.Movement{}}
	for seen := 0; len(page.Movements) < limit && seen < maxLookedAt; {
		happenings, err := n.store.AccountHistory(who, before, limit)
		if err != nil {
			return page, err
		}
		if len(happenings) == 0 {
			return page, nil
		}
		seen += len(happenings)
		for _, h := range happenings {
			before = h.Position
			if m, ok := movement(who, h); ok {
				page.Movements = append(page.Movements, m)
			}
			if len(page.Movements) == limit {
				break
			}
		}
	}
	page.Next = fmt.Sprintf("%d.%d.%d", before.Height, before.Receipt, before.Event)
	return page, nil
}

// movement is what an event did to the available money of an account, if it
// did anything.
func movement(who atp.ID, h store.Happening) (view.Movement, bool) {
	m := view.Movement{Height: view.Height(h.Height), TimeMS: view.Millis(h.Time), Event: h.Event.Name(), Subject: viewCID(h.Subject)}
	between := func(from, to atp.ID, amount atp.Amount) {
		if from == who {
			m.OutUATP, m.Counterparty = view.Amount(amount), to.ID
		} else {
			m.InUATP, m.Counterparty = view.Amount(amount), from.ID
		}
	}
	switch f := h.Event.Fact.(type) {
	case *chain.FeePaid:
		m.OutUATP = view.Amount(f.Amount)
	case *chain.Transferred:
		between(f.From, f.To, f.Amount)
	case *chain.Granted:
		m.InUATP = view.Amount(f.Amount)
	case *chain.ValidatorCandidate:
		m.OutUATP = view.Amount(f.Bond)
	case *chain.CandidateLeft:
		m.InUATP = view.Amount(f.Bond)
	case *chain.BondReturned:
		m.InUATP = view.Amount(f.Bond)
	case *chain.KeyRotated:
		between(f.Old, f.New, f.Available)
	case *chain.LockOpened:
		m.Subject, m.Counterparty = viewCID(f.Lock), f.Payee.ID
		if f.Payer == who {
			m.OutUATP = view.Amount(f.Amount)
		}
	case *chain.LockCommitted:
		m.Subject, m.Counterparty = viewCID(f.Lock), f.Payer.ID
		if f.Payee == who {
			m.InUATP = view.Amount(f.Amount)
		}
	case *chain.LockRolledBack:
		m.Subject, m.Counterparty = viewCID(f.Lock), f.Payee.ID
		if f.Payer == who {
			m.InUATP = view.Amount(f.Amount)
		}
	case *task.Locked:
		m.Subject, m.OutUATP = viewCID(f.Task), view.Amount(f.Amount)
	case *task.Engaged:
		m.Subject, m.Counterparty = viewCID(f.Task), f.Requester.ID
		if f.Executor == who {
			m.OutUATP = view.Amount(f.Bond)
		}
	case *task.Challenged:
		m.Subject, m.OutUATP = viewCID(f.Task), view.Amount(f.Bond)
	case *task.SeatPaid:
		m.Subject, m.InUATP = viewCID(f.Task), view.Amount(f.Pay)
	case *task.StakeBonded:
		m.OutUATP = view.Amount(f.Amount)
	case *task.StakeReleased:
		m.InUATP = view.Amount(f.Amount)
	case *task.Paid:
		m.Subject = viewCID(f.Task)
		if f.Requester == who {
			m.InUATP, m.Counterparty = view.Amount(f.ToRequester), f.Executor.ID.ID
		} else {
			m.InUATP, m.Counterparty = view.Amount(f.ToExecutor), f.Requester.ID
		}
	}
	return m, m.InUATP > 0 || m.OutUATP > 0
}

// Locks implements api.Ledger.
func (n *Node) Locks(context.Context) ([]view.Lock, error) {
	r, err := n.ready()
	if err != nil {
		return nil, err
	}
	state := r.state()
	list := []view.Lock{}
	err = state.EachLock(func(l atp.Lock) error {
		if l.Task {
			return nil
		}
		payer, _, err := state.NameOf(l.Payer)
		if err != nil {
			return err
		}
		payee, _, err := state.NameOf(l.Payee.ID)
		list = append(list, view.Lock{
			ID: viewCID(l.ID), Payer: l.Payer.ID, PayerName: string(payer), Payee: l.Payee.ID.ID, PayeeName: string(payee),
			AmountUATP: view.Amount(l.Amount), DeadlineMS: view.Millis(l.Deadline),
		})
		return err
	})
	slices.SortFunc(list, func(a, b view.Lock) int {
		return cmp.Or(cmp.Compare(a.DeadlineMS, b.DeadlineMS), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return list, err
}

// names looks platforms' names up, each once.
type names struct {
	state chain.State
	known map[atp.ID]string
}

func (n names) of(id atp.ID) string {
	if name, ok := n.known[id]; ok || id.IsZero() {
		return name
	}
	// A name that cannot be read is left out: the ID says the same.
	name, _, _ := n.state.NameOf(id)
	n.known[id] = string(name)
	return string(name)
}

// latencies is how long this platform's own transactions took to become final,
// summed up for each task that they were about.
type latencies struct {
	pending map[cid.Cid]sentTx
	spent   map[cid.Cid]uint64   // ms, by task
	times   map[cid.Cid]interval // by transaction
	told    func(ms uint64)      // of each transaction made here that became final
}

// interval is from when to when something took, in Unix ms.
type interval struct{ from, to uint64 }

type sentTx struct {
	task cid.Cid
	at   uint64 // Unix ms
}

// maxLatencies bounds each of the tables; beyond it, it starts anew.
const maxLatencies = 4096

func newLatencies() latencies {
	return latencies{pending: map[cid.Cid]sentTx{}, spent: map[cid.Cid]uint64{}, times: map[cid.Cid]interval{}, told: func(uint64) {}}
}

func (l latencies) sent(tx, of cid.Cid, at uint64) {
	if len(l.pending) >= maxLatencies {
		clear(l.pending)
	}
	l.pending[tx] = sentTx{of, at}
}

// began notes when a transaction was submitted.
func (l latencies) began(tx cid.Cid, at uint64) {
	if len(l.times) >= maxLatencies {
		clear(l.times)
	}
	l.times[tx] = interval{from: at}
}

func (l latencies) final(tx cid.Cid, at uint64) {
	if i, ok := l.times[tx]; ok && i.to == 0 {
		l.times[tx] = interval{i.from, max(at, i.from)}
		l.told(max(at, i.from) - i.from)
	}
	s, ok := l.pending[tx]
	if !ok {
		return
	}
	delete(l.pending, tx)
	if len(l.spent) >= maxLatencies {
		clear(l.spent)
	}
	l.spent[s.task] += at - min(at, s.at)
}
