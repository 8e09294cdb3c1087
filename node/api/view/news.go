package view

import (
	"encoding/json"

	"github.com/libp2p/go-libp2p/core/peer"
)

// The names of events that are the node's own doing, and no block's.
const (
	NameNodeUp      = "NODE_UP"
	NamePeerUp      = "PEER_UP"
	NamePeerDown    = "PEER_DOWN"
	NamePeerRefused = "PEER_REFUSED"
	NameTxExpired   = "TX_EXPIRED" // a transaction made here can be in no block any more
	NameValidators  = "VALIDATORS" // the set that decides has changed
	NameAlarm       = "ALARM"
	NameGap         = "GAP"
)

// OfBlock reports whether a block did it, so that the block tells it again.
func (e Event) OfBlock() bool {
	switch e.Name {
	case NameNodeUp, NamePeerUp, NamePeerDown, NamePeerRefused, NameTxExpired, NameValidators, NameAlarm, NameGap:
		return false
	}
	return e.Kind != EventAlarm
}

// BlockEvent is the event that ends those of a final block.
func BlockEvent(id CID, height Height, at Millis) Event {
	return Event{Kind: EventBlock, Name: "BLOCK", Height: height, TimeMS: at, Subject: id.String()}
}

// TxEvent is the event of a transaction in a final block.
func TxEvent(id CID, end TxEnd, height Height, at Millis) Event {
	e := Event{Kind: EventTx, Name: "TX_FINAL", Height: height, TimeMS: at, Subject: id.String()}
	if !end.OK {
		e.Name = "TX_REFUSED"
	}
	if raw, err := json.Marshal(end); err == nil { // it has only fields that JSON can hold
		e.Data = raw
	}
	return e
}

// Happened returns the events of a final block, in order.
func (b Block) Happened() []Event {
	events := make([]Event, 0, len(b.Transactions)+len(b.Events)+1)
	for _, tx := range b.Transactions {
		events = append(events, TxEvent(tx.ID, TxEnd{From: tx.From, Nonce: tx.Nonce, OK: tx.OK, Error: tx.Error}, b.Height, b.TimeMS))
	}
	events = append(events, b.Events...)
	return append(events, BlockEvent(b.ID, b.Height, b.TimeMS))
}

// Gap is the data of an [EventGap]: the events after one and before another are
// gone. If there are heights, the events of these blocks follow, without a Seq.
// Who breaks off within one of them is told that one from its beginning.
type Gap struct {
	AfterSeq    uint64 `json:"after_seq"`
	BeforeSeq   uint64 `json:"before_seq"`
	ChainMissed bool   `json:"chain_missed"` // blocks did what nobody tells any more: read them
	FromHeight  Height `json:"from_height,omitempty"`
	ToHeight    Height `json:"to_height,omitempty"`
}

// Events is a page of events, oldest first. Next is where the page after it
// begins; it is there also when there is none yet.
type Events struct {
	Events List[Event] `json:"events"`
	Next   uint64      `json:"next"`
}

// TxEnd is the data of an event about a transaction.
type TxEnd struct {
	From  peer.ID `json:"from"`
	Nonce uint64  `json:"nonce"`
	OK    bool    `json:"ok"` // its operations took effect
	Error string  `json:"error,omitempty"`
}

// PeerNews is the data of an event about a connection. The name is the peer's
// own word.
type PeerNews struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
	Reason  string `json:"reason,omitempty"` // why it went, or was turned away
}

// ValidatorsNews is the data of an event about the set that decides.
type ValidatorsNews struct {
	Validators int           `json:"validators"`
	Quorum     int           `json:"quorum"`
	Joined     List[peer.ID] `json:"joined"`
	Left       List[peer.ID] `json:"left"`
}
