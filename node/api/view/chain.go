package view

import (
	"encoding/json"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Header is what a list of blocks shows of each.
type Header struct {
	ID            CID     `json:"id"`
	Height        Height  `json:"height"`
	TimeMS        Millis  `json:"time_ms"`
	Proposer      peer.ID `json:"proposer,omitempty"` // absent in genesis
	Parent        CID     `json:"parent,omitzero"`
	BodyRoot      CID     `json:"body_root,omitzero"`
	StateRoot     CID     `json:"state_root"`
	ReceiptsRoot  CID     `json:"receipts_root,omitzero"`
	ValidatorHash string  `json:"validators_hash"` // hex; of the set of the next height
	TxCount       int     `json:"tx_count"`
}

// Block is a final block with everything in it.
type Block struct {
	Header
	Certificate  Certificate `json:"certificate"`
	Transactions List[Tx]    `json:"transactions"`
	Events       List[Event] `json:"events"`
}

// Certificate shows who made a block final.
type Certificate struct {
	View    int64         `json:"view"`
	Signers List[peer.ID] `json:"signers"`
}

// Headers is a page of blocks, newest first.
type Headers struct {
	Blocks List[Header] `json:"blocks"`
	Next   Height       `json:"next,omitempty"` // what before= takes for the page after, if any
}

// TxState is how far a transaction has come.
type TxState string

// The states of a transaction. Final and Expired never change again.
const (
	TxPending TxState = "pending" // kept and re-sent until final or expired
	TxFinal   TxState = "final"
	TxExpired TxState = "expired" // left out for good
)

// Tx is a transaction and, once it is final, what became of it.
type Tx struct {
	ID          CID         `json:"id"`
	From        peer.ID     `json:"from"`
	Nonce       uint64      `json:"nonce"`
	ExpiresMS   Millis      `json:"expires_ms,omitempty"`
	FeeUATP     Amount      `json:"fee_uatp"`
	Ops         List[Op]    `json:"ops"`
	State       TxState     `json:"state"`
	Height      Height      `json:"height,omitempty"`
	Block       CID         `json:"block,omitzero"`
	OK          bool        `json:"ok"`                     // final and its operations took effect
	Error       string      `json:"error,omitempty"`        // why they did not
	Hint        string      `json:"hint,omitempty"`         // what would have helped
	SubmittedMS Millis      `json:"submitted_ms,omitempty"` // local clock, for our own
	FinalMS     Millis      `json:"final_ms,omitempty"`     // local clock, for our own
	Events      List[Event] `json:"events"`
}

// Op is one operation of a transaction.
type Op struct {
	Kind string          `json:"kind"` // ATP_TRANSFER, FEDERATION_TASK, …
	Data json.RawMessage `json:"data,omitempty"`
}

// EventKind is the family of an event, by which clients subscribe.
type EventKind string

// The kinds of events.
const (
	EventBlock      EventKind = "block"
	EventTx         EventKind = "tx"
	EventTask       EventKind = "task"
	EventTransfer   EventKind = "transfer"
	EventReputation EventKind = "reputation"
	EventPeer       EventKind = "peer"
	EventValidator  EventKind = "validator"
	EventAlarm      EventKind = "alarm"

	// EventGap is told to every reader in place of events that it missed and
	// that the node no longer has; its data is a [Gap].
	EventGap EventKind = "gap"
)

// EventKinds lists the kinds that a reader may choose from.
func EventKinds() []EventKind {
	return []EventKind{EventBlock, EventTx, EventTask, EventTransfer, EventReputation, EventPeer, EventValidator, EventAlarm}
}

// Event is something that happened. Seq grows by one from event to event of one
// run of a node, and by more across a restart; it is where a reader resumes.
// The last event of a block is the one of [EventBlock].
type Event struct {
	Seq     uint64          `json:"seq,omitempty"`
	Kind    EventKind       `json:"kind"`
	Name    string          `json:"name"` // ATP_TRANSFER_LOCK, FEDERATION_REPUTATION, …
	Height  Height          `json:"height"`
	TimeMS  Millis          `json:"time_ms"`
	Subject string          `json:"subject,omitempty"` // the block, tx, task, lock or peer it is about
	Data    json.RawMessage `json:"data,omitempty"`
}

// Lock is a two-phase payment that is still open.
type Lock struct {
	ID         CID     `json:"id"`
	Payer      peer.ID `json:"payer"`
	PayerName  string  `json:"payer_name,omitempty"`
	Payee      peer.ID `json:"payee"`
	PayeeName  string  `json:"payee_name,omitempty"`
	AmountUATP Amount  `json:"amount_uatp"`
	DeadlineMS Millis  `json:"deadline_ms"`
	Task       bool    `json:"task"` // a task's lock: ended by its settlement only
}

// Locks is a page of open locks, the earliest deadline first.
type Locks struct {
	Locks List[Lock] `json:"locks"`
	Next  string     `json:"next,omitempty"` // cursor of the page after, if any
}

// Platforms is a page of registered platforms, by name.
type Platforms struct {
	Platforms List[Platform] `json:"platforms"`
	Next      string         `json:"next,omitempty"`
}

// Peers is a page of connections, by peer ID.
type Peers struct {
	Peers List[Peer] `json:"peers"`
	Next  string     `json:"next,omitempty"`
}
