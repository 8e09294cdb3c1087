package view

import "github.com/libp2p/go-libp2p/core/peer"

// Federation is one that the node is of, or that was heard on its LAN. All but what
// is said of the node's own is the word of whoever announces it.
type Federation struct {
	Network   string          `json:"network"`
	Genesis   string          `json:"genesis"` // hex; empty for platforms that have none yet
	Founder   string          `json:"founder,omitempty"`
	SinceMS   Millis          `json:"since_ms"`  // when it was founded; 0 if nobody says
	Here      bool            `json:"here"`      // the node's own
	Platforms List[Neighbour] `json:"platforms"` // that were heard, and the node itself
}

// Federations lists those that are heard.
type Federations struct {
	Federations List[Federation] `json:"federations"`
}

// Neighbour is a platform heard on the LAN.
type Neighbour struct {
	PeerID  peer.ID `json:"peer_id"`
	Name    string  `json:"name,omitempty"`
	Address string  `json:"address,omitempty"` // IP address from which it was heard
	HeardMS Millis  `json:"heard_ms"`          // when, last
}
