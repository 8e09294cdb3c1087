package apitest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// fee is the task fee for a price.
func fee(price view.Amount) view.Amount { return (price*300 + 9_999) / 10_000 }

// canPay refuses what is more than the node has. mu is held.
func (n *Node) canPay(amount view.Amount) error {
	if have := n.accounts[ID(n.Self)].AvailableUATP; have < amount {
		return &view.Error{
			Code: view.CodeInsufficient, Height: view.Height(len(n.blocks) - 1),
			Message: fmt.Sprintf("%s has %s ATP available and needs %s ATP", n.Self, have, amount),
			Hint:    "see what is locked and bonded with: sage-p2p balance",
		}
	}
	return nil
}

// touch returns the account of id, a new one if there is none. mu is held.
func (n *Node) touch(id peer.ID) *view.Account {
	if n.accounts[id] == nil {
		n.accounts[id] = &view.Account{PeerID: id, Reputation: []view.Reputation{}}
	}
	return n.accounts[id]
}

// Transfer implements api.Wallet.
func (n *Node) Transfer(_ context.Context, to peer.ID, amount view.Amount) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.canPay(amount); err != nil {
		return view.Submission{}, err
	}
	return view.Submission{TxID: n.submit("ATP_TRANSFER", func() error {
		n.accounts[ID(n.Self)].AvailableUATP -= amount
		n.touch(to).AvailableUATP += amount
		return nil
	})}, nil
}

// CreateLock implements api.Wallet.
func (n *Node) CreateLock(_ context.Context, to peer.ID, amount view.Amount, deadline view.Millis) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.canPay(amount); err != nil {
		return view.Submission{}, err
	}
	id := CID(fmt.Sprint("lock ", len(n.txs)))
	tx := n.submit("ATP_TRANSFER_LOCK", func() error {
		own := n.accounts[ID(n.Self)]
		own.AvailableUATP -= amount
		own.LockedUATP += amount
		n.locks = append(n.locks, view.Lock{
			ID: id, Payer: ID(n.Self), PayerName: n.Self, Payee: to, PayeeName: n.touch(to).Name, AmountUATP: amount, DeadlineMS: deadline,
		})
		return nil
	})
	return view.Submission{TxID: tx, LockID: id}, nil
}

// CommitLock implements api.Wallet. Whether the lock is open is found out
// when the transaction is executed, as on a real chain that others write too.
func (n *Node) CommitLock(_ context.Context, lock view.CID) (view.Submission, error) {
	return n.endLock("ATP_TRANSFER_COMMIT", lock, func(l view.Lock) peer.ID { return l.Payee })
}

// RollbackLock implements api.Wallet.
func (n *Node) RollbackLock(_ context.Context, lock view.CID) (view.Submission, error) {
	return n.endLock("ATP_TRANSFER_ROLLBACK", lock, func(l view.Lock) peer.ID { return l.Payer })
}

func (n *Node) endLock(kind string, lock view.CID, winner func(view.Lock) peer.ID) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	tx := n.submit(kind, func() error {
		i := slices.IndexFunc(n.locks, func(l view.Lock) bool { return l.ID.Equals(lock.Cid) })
		if i < 0 {
			return errors.New("the lock does not exist or has ended")
		}
		l := n.locks[i]
		n.accounts[l.Payer].LockedUATP -= l.AmountUATP
		n.accounts[winner(l)].AvailableUATP += l.AmountUATP
		n.locks = slices.Delete(n.locks, i, i+1)
		return nil
	})
	return view.Submission{TxID: tx, LockID: lock}, nil
}

// Registered returns what Register was asked for last.
func (n *Node) Registered() view.Registration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.registered
}

// Register implements api.Wallet.
func (n *Node) Register(_ context.Context, r view.Registration) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if reflect.DeepEqual(r, view.Registration{}) {
		return view.Submission{}, &view.Error{
			Code: view.CodeInvalid, Message: "this platform is registered, and nothing is to change",
			Hint: "say what is to: sage-p2p platform register --offer TYPE=PRICE",
		}
	}
	n.registered = r
	return view.Submission{TxID: n.submit("PLATFORM_REGISTER", func() error { return nil })}, nil
}

// JoinValidators implements api.Wallet.
func (n *Node) JoinValidators(context.Context) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return view.Submission{TxID: n.submit("VALIDATOR_JOIN", func() error { return nil })}, nil
}

// LeaveValidators implements api.Wallet.
func (n *Node) LeaveValidators(context.Context) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return view.Submission{TxID: n.submit("VALIDATOR_LEAVE", func() error { return nil })}, nil
}

// VoteOnValidator implements api.Wallet.
func (n *Node) VoteOnValidator(context.Context, peer.ID, view.NewVote) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return view.Submission{TxID: n.submit("VALIDATOR_VOTE", func() error { return nil })}, nil
}

// RotateKey implements api.Wallet.
func (n *Node) RotateKey(context.Context) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return view.Submission{TxID: n.submit("KEY_ROTATE", func() error { return nil }), NewID: ID("omega")}, nil
}

// BondStake implements api.Wallet.
func (n *Node) BondStake(_ context.Context, amount view.Amount) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.canPay(amount); err != nil {
		return view.Submission{}, err
	}
	return view.Submission{TxID: n.submit("STAKE_BOND", func() error {
		own := n.accounts[ID(n.Self)]
		own.AvailableUATP -= amount
		own.BondedUATP += amount
		stake := view.Stake{}
		if own.Stake != nil {
			stake = *own.Stake
		}
		stake.AmountUATP += amount
		stake.FreeUATP += amount
		own.Stake = &stake
		return nil
	})}, nil
}

// UnbondStake implements api.Wallet. The stake stays on its way back.
func (n *Node) UnbondStake(_ context.Context, amount view.Amount) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if own := n.accounts[ID(n.Self)]; own.Stake == nil || own.Stake.FreeUATP < amount {
		return view.Submission{}, &view.Error{Code: view.CodeRefused, Message: "the stake has less than is asked for", Height: view.Height(len(n.blocks) - 1)}
	}
	return view.Submission{TxID: n.submit("STAKE_UNBOND", func() error {
		own := n.accounts[ID(n.Self)]
		stake := *own.Stake
		stake.FreeUATP -= amount
		stake.LeavingUATP += amount
		own.Stake = &stake
		return nil
	})}, nil
}

// PostTask implements api.Wallet. The router always picks beta.
func (n *Node) PostTask(_ context.Context, t view.NewTask, executor peer.ID) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.PriceUATP == 0 {
		t.PriceUATP = 11_000_000
	}
	if err := n.canPay(t.PriceUATP + fee(t.PriceUATP)); err != nil {
		return view.Submission{}, err
	}
	for name, w := range map[string]view.Span{"execution window": t.ExecutionWindowMS, "offer window": t.OfferWindowMS} {
		if w != 0 && (w < 5_000 || w > 86_400_000) {
			return view.Submission{}, &view.Error{Code: view.CodeInvalid, Message: fmt.Sprintf("%s %s: want 5s to 24h", name, time.Duration(w)*time.Millisecond)}
		}
	}
	sub := view.Submission{TaskID: CID(fmt.Sprint("task ", len(n.txs))), Executor: executor}
	if list := view.Amount(11_000_000); executor != "" && t.PriceUATP < list {
		sub.Note = fmt.Sprintf("beta will hardly accept it: %s ATP is below its list price of %s ATP", t.PriceUATP, list)
	}
	if t.To == view.ToAuto {
		sub.Executor, sub.Routing = ID("beta"), "beta: lcb 0.349, 11 ATP, 0.2 ms away; 3 candidates"
	}
	posted := view.Task{
		ID: sub.TaskID, State: view.TaskPosted, Requester: ID(n.Self), RequesterName: n.Self, Executor: sub.Executor,
		Open: t.To == view.ToOpen, FeeUATP: fee(t.PriceUATP), DeadlineMS: Start + 70_000, Witnesses: []view.Witness{},
		Spec: view.Spec{
			Type: t.Type, Complexity: "low", Horizon: t.Horizon, Runtime: t.Runtime, Program: t.Program, Input: t.Input,
			InputSize: uint64(len(n.blobs[t.Input.String()])), PriceUATP: t.PriceUATP, MinQualityPPM: 700_000, Verify: "mutual",
			OfferWindowMS: 60_000, ExecutionWindowMS: 300_000,
		},
		History: []view.Step{{
			TimeMS: Start + 10_000, Height: view.Height(len(n.blocks)), Event: "posted", By: ID(n.Self),
			Legs: []view.Leg{{What: "locked", AmountUATP: t.PriceUATP + fee(t.PriceUATP)}}, Reputation: []view.ReputationMove{},
		}},
	}
	sub.TxID = n.submit("FEDERATION_TASK", func() error {
		own := n.accounts[ID(n.Self)]
		own.AvailableUATP -= t.PriceUATP + fee(t.PriceUATP)
		own.LockedUATP += t.PriceUATP + fee(t.PriceUATP)
		n.setTask(posted)
		return nil
	})
	return sub, nil
}

// Acknowledge implements api.Wallet.
func (n *Node) Acknowledge(_ context.Context, task view.CID, m view.Mark) (view.Submission, error) {
	return n.settle("TASK_ACKNOWLEDGE", task, view.TaskProven, func(t *view.Task) {
		t.Settlement, t.Cause = view.SettledCommit, "acknowledged"
		if m.Refuse || m.QualityPPM != nil && *m.QualityPPM < t.Spec.MinQualityPPM {
			t.Settlement, t.Cause = view.SettledRollback, "refused"
		}
	})
}

// CancelTask implements api.Wallet.
func (n *Node) CancelTask(_ context.Context, task view.CID) (view.Submission, error) {
	return n.settle("TASK_CANCEL", task, view.TaskPosted, func(t *view.Task) {
		t.Settlement, t.Cause = view.SettledRollback, "cancelled"
	})
}

// DisputeTask implements api.Wallet: witnesses find the result good.
func (n *Node) DisputeTask(_ context.Context, task view.CID) (view.Submission, error) {
	return n.settle("TASK_DISPUTE", task, view.TaskProven, func(t *view.Task) {
		t.Settlement, t.Cause = view.SettledCommit, "dispute lost"
	})
}

// AppealTask implements api.Wallet: everyone finds as the committee did.
func (n *Node) AppealTask(_ context.Context, task view.CID) (view.Submission, error) {
	return n.settle("TASK_APPEAL", task, view.TaskWitnessing, func(t *view.Task) {
		t.Settlement, t.Cause = view.SettledCommit, "appeal in vain"
	})
}

// VerifyTask implements api.Tasks: every result is what its executor says.
func (n *Node) VerifyTask(ctx context.Context, task view.CID) (view.Examination, error) {
	t, err := n.Task(ctx, task)
	whole := view.PPM(1_000_000)
	return view.Examination{
		TaskID: task, Class: "recompute", Did: "executed the task again", ScorePPM: &whole, Answer: "1000000 ppm", Passes: true,
		Proved: t.Result, Found: t.Result, MemoryHash: "00",
	}, err
}

func (n *Node) settle(kind string, task view.CID, from view.TaskState, how func(*view.Task)) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.tasks, func(t view.Task) bool { return t.ID.Equals(task.Cid) })
	if i < 0 {
		return view.Submission{}, &view.Error{Code: view.CodeNotFound, Message: "no task " + task.String() + " is known here"}
	}
	if n.tasks[i].State != from {
		return view.Submission{}, &view.Error{
			Code: view.CodeRefused, Message: fmt.Sprintf("the task is %s, and must be %s for this", n.tasks[i].State, from),
			Hint: "see its history with: sage-p2p task show " + task.String(), Height: view.Height(len(n.blocks) - 1),
		}
	}
	tx := n.submit(kind, func() error {
		n.tasks[i].State = view.TaskSettled
		how(&n.tasks[i])
		return nil
	})
	return view.Submission{TxID: tx, TaskID: task}, nil
}

// SubmitTx implements api.Wallet: anything but an empty body will do.
func (n *Node) SubmitTx(_ context.Context, encoded []byte) (view.Submission, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(encoded) == 0 {
		return view.Submission{}, &view.Error{Code: view.CodeInvalid, Message: "the transaction is empty"}
	}
	return view.Submission{TxID: n.submit("ATP_TRANSFER", func() error { return nil })}, nil
}

// Stop implements api.Process. The node goes on, but closes Stopped.
func (n *Node) Stop(context.Context) (view.Stopping, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.Stopped:
	default:
		close(n.Stopped)
	}
	return view.Stopping{PID: n.StatusNow.PID}, nil
}

// Invite implements api.Invites.
func (n *Node) Invite(_ context.Context, i view.NewInvite) (view.Invite, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return view.Invite{
		Invite: "sage1qvswm2lfnrsfqiabaibq", Network: "lan", Genesis: strings.Repeat("5a", 32), For: i.For, UntilMS: Start + view.Millis(i.ExpiresMS), Reach: view.ReachPublic,
	}, nil
}
