package api

import (
	"context"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Node is what the server serves. All methods may be called from many
// goroutines at once. A method that cannot do what it is asked returns a
// [*view.Error] that says why; any other error is the node's own fault and is
// shown as internal, without its text.
//
// Peer IDs and CIDs arrive whole: the server resolves names and short forms.
type Node interface {
	Network
	Ledger
	Chain
	Tasks
	Proofs
	Wallet
	Blobs
	Log
	Explains
	Asks
	Invites
	Process
}

// Network is what the node knows about itself and about others.
type Network interface {
	Status(context.Context) (view.Status, error)
	Peers(context.Context) ([]view.Peer, error)

	// Federations returns the node's own federation, if it has one, and then
	// those heard on the LAN by what their platforms say.
	Federations(context.Context) ([]view.Federation, error)

	Validators(context.Context) (view.Validators, error)

	// Platforms returns all registered platforms by name.
	Platforms(context.Context) ([]view.Platform, error)
}

// Ledger is the newest final state's money.
type Ledger interface {
	// Account returns the account of id. One that no block ever touched is
	// view.CodeNotFound.
	Account(ctx context.Context, id peer.ID) (view.Account, error)

	// History returns at most limit movements of id, newest first, older than
	// the cursor of an earlier page (empty: from the newest).
	History(ctx context.Context, id peer.ID, cursor string, limit int) (view.Movements, error)

	// Locks returns the open locks that are no task's, oldest first.
	Locks(context.Context) ([]view.Lock, error)
}

// Chain is what is final.
type Chain interface {
	// Headers returns at most limit headers below height before, newest
	// first; before 0 means from the head.
	Headers(ctx context.Context, before view.Height, limit int) ([]view.Header, error)

	BlockAt(context.Context, view.Height) (view.Block, error)
	BlockByID(context.Context, view.CID) (view.Block, error)

	// Tx returns a final transaction, or a pending one that this node holds.
	Tx(context.Context, view.CID) (view.Tx, error)
}

// Tasks is the tasks that this node knows: open ones from the state, settled
// ones from its index.
type Tasks interface {
	// Tasks returns a page of tasks, newest first, without their histories but
	// with how they were settled.
	Tasks(context.Context, view.TaskFilter) (view.Tasks, error)

	// Task returns a task with its history. A task that was submitted here is
	// found, pending, before its transaction is final.
	Task(context.Context, view.CID) (view.Task, error)

	// VerifyTask finds the quality of a result as a witness would, here and now, if
	// the task gives this platform a right to what that needs.
	VerifyTask(context.Context, view.CID) (view.Examination, error)
}

// Wallet makes transactions of the node's own account. A method returns when
// the transaction is durable and on its way, not when it is final; what can
// be known to fail beforehand is refused here and leaves no trace.
type Wallet interface {
	Transfer(ctx context.Context, to peer.ID, amount view.Amount) (view.Submission, error)
	CreateLock(ctx context.Context, to peer.ID, amount view.Amount, deadline view.Millis) (view.Submission, error)
	CommitLock(ctx context.Context, lock view.CID) (view.Submission, error)
	RollbackLock(ctx context.Context, lock view.CID) (view.Submission, error)
	Register(context.Context, view.Registration) (view.Submission, error)

	// JoinValidators asks for a vote, and LeaveValidators gives it back, or the
	// wish for it.
	JoinValidators(context.Context) (view.Submission, error)
	LeaveValidators(context.Context) (view.Submission, error)

	// VoteOnValidator votes for a platform to join, or takes that back.
	// v.Platform is not read.
	VoteOnValidator(ctx context.Context, platform peer.ID, v view.NewVote) (view.Submission, error)

	// RotateKey replaces the platform's key. Once it is final the node begins
	// anew, as another peer.
	RotateKey(context.Context) (view.Submission, error)
	// BondStake sets an amount aside to be a witness, and UnbondStake asks it back.
	BondStake(context.Context, view.Amount) (view.Submission, error)
	UnbondStake(context.Context, view.Amount) (view.Submission, error)

	// PostTask posts a task whose program and input are blobs of the node.
	// The executor is empty for view.ToOpen and, with t.To == view.ToAuto, for
	// the router to pick.
	PostTask(ctx context.Context, t view.NewTask, executor peer.ID) (view.Submission, error)

	Acknowledge(ctx context.Context, task view.CID, m view.Mark) (view.Submission, error)
	CancelTask(ctx context.Context, task view.CID) (view.Submission, error)

	// DisputeTask asks for witnesses of a result, as its requester, and AppealTask
	// for everyone's word after a committee's, as the party that it was against.
	DisputeTask(ctx context.Context, task view.CID) (view.Submission, error)
	AppealTask(ctx context.Context, task view.CID) (view.Submission, error)

	// SubmitTx takes a transaction signed elsewhere in its canonical encoding.
	SubmitTx(ctx context.Context, encoded []byte) (view.Submission, error)
}

// Blobs is content by CID: programs, inputs and results.
type Blobs interface {
	// PutBlob stores what it reads. An error of the reader is returned as it
	// is, and nothing is kept.
	PutBlob(context.Context, io.Reader) (view.Blob, error)

	// OpenBlob opens what the node holds, or can fetch now from the other party
	// of the task. What it cannot get is view.CodeGone, and asked for again
	// while the task is open.
	OpenBlob(context.Context, view.CID) (io.ReadCloser, error)
}

// Log is what happened, for those who wait for it to happen.
type Log interface {
	// Changed returns a channel that is closed at the next change: a block
	// became final, a task or transaction of ours moved, a peer came or went.
	// Take the channel first, then look, then wait: nothing is missed.
	Changed() <-chan struct{}

	// Events returns at most limit events after seq, oldest first. Those that
	// the node no longer has are skipped, which the first one's Seq shows. After
	// a seq that no event ever had, as of before a clock was set back, they are
	// all that the node has.
	Events(ctx context.Context, seq uint64, limit int) ([]view.Event, error)
}

// Explains says why things are as they are.
type Explains interface {
	// Doctor looks at the node. It answers also while there is no chain.
	Doctor(context.Context) (view.Doctor, error)

	// PeersWhy says who is not connected and why, as long as it is remembered.
	PeersWhy(context.Context) (view.PeersWhy, error)

	// WhyNot says whether the router would give a task to a platform, or to each
	// one if none is named.
	WhyNot(ctx context.Context, task view.CID, platform peer.ID) (view.WhyNot, error)

	// WhyIdle says why this platform gets no work.
	WhyIdle(context.Context) (view.WhyIdle, error)

	// Reputation says how a platform's standing came about.
	Reputation(ctx context.Context, platform peer.ID) (view.ReputationStory, error)
}

// Asks is questions to language models, and what the work on a task says.
type Asks interface {
	// Models returns the language models that can be asked, by ID.
	Models(context.Context) (view.Models, error)

	// Ask asks one of them, by a task if the node has none itself or names an
	// executor, and tells what happens, in order, until the question is over: an
	// error is its end without an answer. An error of tell, or the end of ctx,
	// ends the telling; a task that was posted goes on.
	Ask(ctx context.Context, q view.Question, executor peer.ID, tell func(view.AskNews) error) error

	// TaskLogs tells what the runtime that executes a task of this platform wrote
	// to standard error: what there is or, with follow, until the work ends. With
	// follow it first tells nothing, at once.
	TaskLogs(ctx context.Context, task view.CID, follow bool, tell func([]byte) error) error
}

// Invites is who may join the node's federation by its word.
type Invites interface {
	// Invite makes an invite that one platform may use, once.
	Invite(context.Context, view.NewInvite) (view.Invite, error)
}

// Process is the node as something that runs.
type Process interface {
	// Stop begins the node's orderly end and returns at once: nothing that it
	// has promised is lost. Who started the node sees Run return nil.
	Stop(context.Context) (view.Stopping, error)
}
